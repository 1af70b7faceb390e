package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// nodeAgent plays everything that a cluster has below its control plane: the scheduler, the kubelets of all nodes, and
// the provisioner of volumes. No container runs.
//
// What it knows is read from the API through informers, so it can be killed at any moment. Only the breakages a test
// asked for, and how long a pod has been on its way, live in this process.
type nodeAgent struct {
	client kubernetes.Interface
	// cluster is what the informers saw last.
	cluster  clusterView
	settings *agentSettings
	memories *podMemories
	room     *nodeRoom

	pods    keyQueue
	claims  keyQueue
	volumes keyQueue

	nodeCount int
	stopDelay time.Duration
	synced    atomic.Bool

	asKubelet   record.EventRecorder
	asScheduler record.EventRecorder
}

type keyQueue = workqueue.TypedRateLimitingInterface[string]

// Writes wait for the API server: many workers cost nothing but keep one slow answer from holding up all pods.
const podWorkers, volumeWorkers = 16, 4

// runKubelet runs until SIGINT or SIGTERM. It returns the exit code.
func runKubelet(args []string) int {
	flags := flag.NewFlagSet("kubelet", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "how the API server is reached")
	control := flags.String("control", "127.0.0.1:0", "HOST:PORT to serve the control API on")
	nodes := flags.Int("nodes", 1, "how many nodes there are")
	readyDelay := flags.Duration("ready-delay", time.Second, "how long a pod takes to become ready")
	stopDelay := flags.Duration("stop-delay", 200*time.Millisecond, "how long it takes to stop, within its grace period")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *nodes < 1 || *readyDelay < 0 || *stopDelay < 0 {
		fmt.Fprintln(os.Stderr, "kubelet: --nodes must be at least 1, and delays must not be negative")
		return 2
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kubelet:", err)
		return 1
	}
	agent, factory, err := newNodeAgent(ctx, config, *nodes, *readyDelay, *stopDelay)
	if err == nil {
		err = agent.run(ctx, factory, *control)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "kubelet:", err)
		return 1
	}
	return 0
}

func newNodeAgent(
	ctx context.Context, config *rest.Config, nodes int, readyDelay, stopDelay time.Duration,
) (*nodeAgent, informers.SharedInformerFactory, error) {
	// Hundreds of pods move at once in a benchmark: the API server is the limit, not this client.
	config.QPS, config.Burst = 2000, 4000
	// A call that hangs holds a worker. Watches are not concerned: the factory's have their own timeout.
	config.UserAgent = "kubelet"
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	agent := &nodeAgent{
		client:    client,
		settings:  newAgentSettings(readyDelay),
		memories:  newPodMemories(),
		room:      newNodeRoom(),
		pods:      newKeyQueue(),
		claims:    newKeyQueue(),
		volumes:   newKeyQueue(),
		nodeCount: nodes,
		stopDelay: stopDelay,
	}
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	agent.asKubelet = broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet"})
	agent.asScheduler = broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "default-scheduler"})
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(slim))
	return agent, factory, agent.watch(factory)
}

// run serves the control API at once, and acts as soon as everything was listed.
func (a *nodeAgent) run(ctx context.Context, factory informers.SharedInformerFactory, control string) error {
	failed, err := a.serveControl(ctx, control)
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("%s: %w", kind, context.Cause(ctx))
		}
	}
	go a.keepStage(ctx)
	a.work(ctx, a.pods, podWorkers, a.syncPod)
	a.work(ctx, a.claims, volumeWorkers, a.syncClaim)
	a.work(ctx, a.volumes, volumeWorkers, a.syncVolume)
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	for _, queue := range []keyQueue{a.pods, a.claims, a.volumes} {
		queue.ShutDown()
	}
	return err
}

func newKeyQueue() keyQueue {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[string](20*time.Millisecond, 5*time.Second)
	return workqueue.NewTypedRateLimitingQueue(limiter)
}

// work starts workers that look at one key at a time. `sync` says when to look again; 0: when something changes.
func (a *nodeAgent) work(
	ctx context.Context, queue keyQueue, workers int, sync func(context.Context, string) (time.Duration, error),
) {
	one := func() {
		for {
			key, ended := queue.Get()
			if ended {
				return
			}
			if a.settings.waitUntilThawed(ctx) {
				a.handle(ctx, queue, key, sync)
			}
			queue.Done(key)
		}
	}
	for range workers {
		go one()
	}
}

func (a *nodeAgent) handle(
	ctx context.Context, queue keyQueue, key string, sync func(context.Context, string) (time.Duration, error),
) {
	// A paused API server answers nobody: the call must end so that the next one is made on a fresh look.
	limited, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	again, err := sync(limited, key)
	switch {
	case err != nil:
		// A conflict only says that the informer is behind, as it is after the API server was away.
		if queue.NumRequeues(key) > 5 && !apierrors.IsConflict(err) {
			klog.InfoS("goes wrong again and again", "key", key, "err", err)
		}
		queue.AddRateLimited(key)
	case again > 0:
		queue.Forget(key)
		queue.AddAfter(key, again)
	default:
		queue.Forget(key)
	}
}

// slim drops what is never looked at. Values of Secrets and ConfigMaps are not kept: only their keys matter here.
func slim(object any) (any, error) {
	switch found := object.(type) {
	case *corev1.Secret:
		for key := range found.Data {
			found.Data[key] = nil
		}
	case *corev1.ConfigMap:
		for key := range found.Data {
			found.Data[key] = ""
		}
		for key := range found.BinaryData {
			found.BinaryData[key] = nil
		}
	case cache.DeletedFinalStateUnknown:
		return object, nil
	}
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetManagedFields(nil)
	}
	return object, nil
}

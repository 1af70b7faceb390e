package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
)

const (
	provisionerName  = "stackledger.io/hostless"
	driverName       = "hostless.stackledger.io" // a driver's name may hold no slash
	defaultClassName = "standard"
	defaultClassMark = "storageclass.kubernetes.io/is-default-class"
)

// keepStage sees to it that nodes and a storage class are there, and goes on doing so: etcd may be rolled back to
// before they were made. At rest it asks only the informers.
func (a *nodeAgent) keepStage(ctx context.Context) {
	for {
		wait := 10 * time.Second
		if a.settings.waitUntilThawed(ctx) {
			if err := a.setStage(ctx); err != nil {
				klog.InfoS("cannot register", "err", err)
				wait = time.Second
			} else {
				a.synced.Store(true)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (a *nodeAgent) setStage(ctx context.Context) error {
	for number := 1; number <= a.nodeCount; number++ {
		if err := a.registerNode(ctx, number); err != nil {
			return err
		}
	}
	if _, err := a.cluster.drivers.Get(driverName); apierrors.IsNotFound(err) {
		_, err := a.client.StorageV1().CSIDrivers().Create(ctx, hostlessDriver(), metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	if _, err := a.cluster.classes.Get(defaultClassName); apierrors.IsNotFound(err) {
		_, err := a.client.StorageV1().StorageClasses().Create(ctx, standardClass(), metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}

func (a *nodeAgent) registerNode(ctx context.Context, number int) error {
	nodes := a.client.CoreV1().Nodes()
	node, err := a.cluster.nodes.Get(nodeName(number))
	if apierrors.IsNotFound(err) {
		node, err = nodes.Create(ctx, newNode(number, time.Now()), metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			node, err = nodes.Get(ctx, nodeName(number), metav1.GetOptions{})
		}
	}
	if err != nil {
		return err
	}
	// New nodes are tainted by the API server until the node lifecycle controller sees them ready. It does not run.
	if len(node.Spec.Taints) == 1 && node.Spec.Taints[0].Key == corev1.TaintNodeNotReady {
		node = node.DeepCopy()
		node.Spec.Taints = nil
		_, err = nodes.Update(ctx, node, metav1.UpdateOptions{})
	}
	return err
}

func nodeName(number int) string { return fmt.Sprintf("node-%d", number) }

func nodeAddress(number int) string { return fmt.Sprintf("10.0.%d.%d", number/250, number%250+1) }

func newNode(number int, now time.Time) *corev1.Node {
	size := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("1000"),
		corev1.ResourceMemory:           resource.MustParse("4Ti"),
		corev1.ResourceEphemeralStorage: resource.MustParse("100Ti"),
		corev1.ResourcePods:             resource.MustParse("100k"),
	}
	name := nodeName(number)
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelHostname:   name,
			corev1.LabelOSStable:   "linux",
			corev1.LabelArchStable: "amd64",
		}},
		Status: corev1.NodeStatus{
			Capacity:    size,
			Allocatable: size,
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: nodeAddress(number)},
				{Type: corev1.NodeHostName, Address: name},
			},
			NodeInfo: corev1.NodeSystemInfo{
				OperatingSystem:         "linux",
				Architecture:            "amd64",
				ContainerRuntimeVersion: "containerd://2.1.0",
				KubeletVersion:          "v1.37.2",
				OSImage:                 "none: no container runs here",
			},
		},
	}
	for _, condition := range []struct {
		kind   corev1.NodeConditionType
		status corev1.ConditionStatus
		reason string
	}{
		{corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory"},
		{corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure"},
		{corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID"},
		{corev1.NodeReady, corev1.ConditionTrue, "KubeletReady"},
	} {
		node.Status.Conditions = append(node.Status.Conditions, corev1.NodeCondition{
			Type: condition.kind, Status: condition.status, Reason: condition.reason,
			LastHeartbeatTime: metav1.NewTime(now), LastTransitionTime: metav1.NewTime(now),
		})
	}
	return node
}

// hostlessDriver says that volumes need not be attached to a node.
func hostlessDriver() *storagev1.CSIDriver {
	no := false
	return &storagev1.CSIDriver{
		ObjectMeta: metav1.ObjectMeta{Name: driverName},
		Spec:       storagev1.CSIDriverSpec{AttachRequired: &no},
	}
}

func standardClass() *storagev1.StorageClass {
	reclaim, binding, growth := corev1.PersistentVolumeReclaimDelete, storagev1.VolumeBindingImmediate, true
	return &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{
			Name:        defaultClassName,
			Annotations: map[string]string{defaultClassMark: "true"},
		},
		Provisioner:          provisionerName,
		ReclaimPolicy:        &reclaim,
		VolumeBindingMode:    &binding,
		AllowVolumeExpansion: &growth,
	}
}

package main

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
)

// clusterView is what the informers saw last.
type clusterView struct {
	pods       corelisters.PodLister
	nodes      corelisters.NodeLister
	configMaps corelisters.ConfigMapLister
	secrets    corelisters.SecretLister
	claims     corelisters.PersistentVolumeClaimLister
	volumes    corelisters.PersistentVolumeLister
	classes    storagelisters.StorageClassLister
	drivers    storagelisters.CSIDriverLister

	podIndex cache.Indexer
}

// byReference finds the pods that name a ConfigMap, Secret or claim: "Secret/NAMESPACE/NAME".
const byReference = "reference"

// watch makes the informers and says which keys their events are about. Whatever a worker does is decided by a fresh
// look at the key, never by the event.
func (a *nodeAgent) watch(factory informers.SharedInformerFactory) error {
	core, storage := factory.Core().V1(), factory.Storage().V1()
	pods := core.Pods().Informer()
	a.cluster = clusterView{
		pods:       core.Pods().Lister(),
		nodes:      core.Nodes().Lister(),
		configMaps: core.ConfigMaps().Lister(),
		secrets:    core.Secrets().Lister(),
		claims:     core.PersistentVolumeClaims().Lister(),
		volumes:    core.PersistentVolumes().Lister(),
		classes:    storage.StorageClasses().Lister(),
		drivers:    storage.CSIDrivers().Lister(),
		podIndex:   pods.GetIndexer(),
	}
	if err := pods.AddIndexers(cache.Indexers{byReference: func(object any) ([]string, error) {
		return referencedKeys(object.(*corev1.Pod)), nil
	}}); err != nil {
		return err
	}
	handled := []struct {
		informer cache.SharedIndexInformer
		handlers cache.ResourceEventHandlerFuncs
	}{
		{pods, onEvery(a.podSeen, a.podGone)},
		{core.ConfigMaps().Informer(), a.onReference("ConfigMap")},
		{core.Secrets().Informer(), a.onReference("Secret")},
		{core.PersistentVolumeClaims().Informer(), onEvery(a.claimSeen, a.claimSeen)},
		{core.PersistentVolumes().Informer(), onEvery(a.volumeSeen, nil)},
		{core.Nodes().Informer(), onEvery(func(any) { a.lookAtWaiting() }, nil)},
	}
	for _, one := range handled {
		if _, err := one.informer.AddEventHandler(one.handlers); err != nil {
			return err
		}
	}
	// Those without a handler are started by being asked for.
	storage.StorageClasses().Informer()
	storage.CSIDrivers().Informer()
	return nil
}

func onEvery(seen, gone func(any)) cache.ResourceEventHandlerFuncs {
	handlers := cache.ResourceEventHandlerFuncs{AddFunc: seen, UpdateFunc: func(_, now any) { seen(now) }}
	if gone != nil {
		handlers.DeleteFunc = func(object any) {
			if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = unknown.Obj
			}
			gone(object)
		}
	}
	return handlers
}

func (a *nodeAgent) podSeen(object any) {
	pod := object.(*corev1.Pod)
	a.memories.remember(pod)
	if a.room.seen(pod) {
		a.lookAtWaiting()
	}
	a.pods.Add(keyOf(pod.Namespace, pod.Name))
}

func (a *nodeAgent) podGone(object any) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	a.memories.forget(pod)
	if a.room.release(pod.UID) {
		a.lookAtWaiting()
	}
}

// onReference makes those pods look again that wait for this object, or would.
func (a *nodeAgent) onReference(kind string) cache.ResourceEventHandlerFuncs {
	seen := func(object any) {
		key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
		if err == nil {
			a.lookAtReferring(kind + "/" + key)
		}
	}
	return onEvery(seen, nil)
}

func (a *nodeAgent) claimSeen(object any) {
	if claim, ok := object.(*corev1.PersistentVolumeClaim); ok {
		key := keyOf(claim.Namespace, claim.Name)
		a.claims.Add(key)
		a.lookAtReferring("PersistentVolumeClaim/" + key)
	}
}

func (a *nodeAgent) volumeSeen(object any) {
	volume := object.(*corev1.PersistentVolume)
	a.volumes.Add(volume.Name)
	if claim := volume.Spec.ClaimRef; claim != nil {
		a.claims.Add(keyOf(claim.Namespace, claim.Name))
	}
}

func (a *nodeAgent) lookAtReferring(reference string) {
	found, err := a.cluster.podIndex.ByIndex(byReference, reference)
	if err != nil {
		return
	}
	for _, object := range found {
		// What a ready pod needed was there: it keeps running without.
		if pod := object.(*corev1.Pod); !isReady(&pod.Status) {
			a.pods.Add(keyOf(pod.Namespace, pod.Name))
		}
	}
}

// lookAtWaiting lets the pods that found no room look again.
func (a *nodeAgent) lookAtWaiting() {
	for _, key := range a.room.takeWaiting() {
		a.pods.Add(key)
	}
}

func keyOf(namespace, name string) string {
	return types.NamespacedName{Namespace: namespace, Name: name}.String()
}

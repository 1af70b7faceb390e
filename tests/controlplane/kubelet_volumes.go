package main

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	storagehelpers "k8s.io/component-helpers/storage/volume"
)

// syncClaim does what an external provisioner and resizer do for one claim. Binding is left to the controller manager.
func (a *nodeAgent) syncClaim(ctx context.Context, key string) (time.Duration, error) {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return 0, nil
	}
	claim, err := a.cluster.claims.PersistentVolumeClaims(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	switch {
	case wantsVolume(claim):
		return 0, a.provision(ctx, claim)
	case wantsGrowth(claim):
		return 0, a.grow(ctx, claim)
	}
	return 0, nil
}

// wantsVolume: the controller manager annotates a claim when its class names an external provisioner.
func wantsVolume(claim *corev1.PersistentVolumeClaim) bool {
	return claim.DeletionTimestamp == nil && claim.Spec.VolumeName == "" &&
		claim.Annotations[storagehelpers.AnnStorageProvisioner] == provisionerName
}

func wantsGrowth(claim *corev1.PersistentVolumeClaim) bool {
	if claim.DeletionTimestamp != nil || claim.Status.Phase != corev1.ClaimBound {
		return false
	}
	return claim.Spec.Resources.Requests.Storage().Cmp(*claim.Status.Capacity.Storage()) > 0
}

func (a *nodeAgent) provision(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	class, err := a.cluster.classes.Get(storagehelpers.GetPersistentVolumeClaimClass(claim))
	if err != nil || class.Provisioner != provisionerName {
		return err
	}
	volume := newVolume(claim, class)
	if _, err := a.cluster.volumes.Get(volume.Name); err == nil {
		return nil
	}
	_, err = a.client.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// newVolume is already reserved for the claim, by uid: a claim made anew under the same name gets another.
func newVolume(claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) *corev1.PersistentVolume {
	name := "pvc-" + string(claim.UID)
	reclaim := corev1.PersistentVolumeReclaimDelete
	if class.ReclaimPolicy != nil {
		reclaim = *class.ReclaimPolicy
	}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Annotations: map[string]string{storagehelpers.AnnDynamicallyProvisioned: provisionerName},
		},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: requestedSize(claim)},
			AccessModes:                   claim.Spec.AccessModes,
			VolumeMode:                    claim.Spec.VolumeMode,
			StorageClassName:              class.Name,
			PersistentVolumeReclaimPolicy: reclaim,
			MountOptions:                  class.MountOptions,
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim",
				Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID, ResourceVersion: claim.ResourceVersion,
			},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				CSI: &corev1.CSIPersistentVolumeSource{Driver: driverName, VolumeHandle: name},
			},
		},
	}
}

func requestedSize(claim *corev1.PersistentVolumeClaim) resource.Quantity {
	return claim.Spec.Resources.Requests[corev1.ResourceStorage]
}

// grow raises the volume first and the claim's status after it, so that a claim never has more than its volume.
func (a *nodeAgent) grow(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	volume, err := a.cluster.volumes.Get(claim.Spec.VolumeName)
	if err != nil {
		return err
	}
	if volume.Annotations[storagehelpers.AnnDynamicallyProvisioned] != provisionerName {
		return nil
	}
	size := requestedSize(claim)
	if volume.Spec.Capacity.Storage().Cmp(size) < 0 {
		volume = volume.DeepCopy()
		volume.Spec.Capacity[corev1.ResourceStorage] = size
		if _, err := a.client.CoreV1().PersistentVolumes().Update(ctx, volume, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	claims := a.client.CoreV1().PersistentVolumeClaims(claim.Namespace)
	_, err = claims.UpdateStatus(ctx, grown(claim), metav1.UpdateOptions{})
	return err
}

// grown is the claim as the resizer and the kubelet leave it together.
func grown(claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
	claim = claim.DeepCopy()
	size := requestedSize(claim)
	if claim.Status.Capacity == nil {
		claim.Status.Capacity = corev1.ResourceList{}
	}
	claim.Status.Capacity[corev1.ResourceStorage] = size
	claim.Status.AllocatedResources = corev1.ResourceList{corev1.ResourceStorage: size}
	claim.Status.AllocatedResourceStatuses = nil
	claim.Status.Conditions = slices.DeleteFunc(claim.Status.Conditions, isAboutGrowth)
	return claim
}

func isAboutGrowth(one corev1.PersistentVolumeClaimCondition) bool {
	return one.Type == corev1.PersistentVolumeClaimResizing ||
		one.Type == corev1.PersistentVolumeClaimFileSystemResizePending
}

// syncVolume removes a volume of ours that lost its claim: the controller manager leaves that to its provisioner.
func (a *nodeAgent) syncVolume(ctx context.Context, name string) (time.Duration, error) {
	volume, err := a.cluster.volumes.Get(name)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if !isDeletable(volume) {
		return 0, nil
	}
	options := metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(volume.UID))}
	err = a.client.CoreV1().PersistentVolumes().Delete(ctx, name, options)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return 0, nil
	}
	return 0, err
}

func isDeletable(volume *corev1.PersistentVolume) bool {
	return volume.DeletionTimestamp == nil && volume.Status.Phase == corev1.VolumeReleased &&
		volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete &&
		volume.Annotations[storagehelpers.AnnDynamicallyProvisioned] == provisionerName
}

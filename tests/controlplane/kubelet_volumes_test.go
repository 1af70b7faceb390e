package main

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	storagehelpers "k8s.io/component-helpers/storage/volume"
)

func testClaim(size string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "data", UID: "uid-c",
			Annotations: map[string]string{storagehelpers.AnnStorageProvisioner: provisionerName},
		},
		Spec: corev1.PersistentVolumeClaimSpec{Resources: corev1.VolumeResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)},
		}},
	}
}

func TestAVolumeIsMadeForTheClaimThatAsksThisProvisioner(t *testing.T) {
	claim := testClaim("1Gi")
	wantEqual(t, "wanted", wantsVolume(claim), true)
	volume := newVolume(claim, standardClass())
	wantEqual(t, "reserved for", volume.Spec.ClaimRef.UID, claim.UID)
	wantEqual(t, "removed with its claim", volume.Spec.PersistentVolumeReclaimPolicy, corev1.PersistentVolumeReclaimDelete)
	claim.Annotations[storagehelpers.AnnStorageProvisioner] = "example.com/other"
	wantEqual(t, "wanted of another", wantsVolume(claim), false)
}

func TestAClaimGrowsWhenItAsksForMoreThanItHas(t *testing.T) {
	claim := testClaim("3Gi")
	claim.Status = corev1.PersistentVolumeClaimStatus{
		Phase:    corev1.ClaimBound,
		Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
		Conditions: []corev1.PersistentVolumeClaimCondition{
			{Type: corev1.PersistentVolumeClaimResizing}, {Type: "Unused"},
		},
	}
	wantEqual(t, "wanted", wantsGrowth(claim), true)
	larger := grown(claim)
	wantEqual(t, "capacity", larger.Status.Capacity.Storage().String(), "3Gi")
	wantEqual(t, "conditions of others", len(larger.Status.Conditions), 1)
	wantEqual(t, "wanted then", wantsGrowth(larger), false)
	wantEqual(t, "what was given is untouched", claim.Status.Capacity.Storage().String(), "1Gi")
}

func TestOnlyAReleasedVolumeOfOursIsRemoved(t *testing.T) {
	volume := newVolume(testClaim("1Gi"), standardClass())
	volume.Status.Phase = corev1.VolumeBound
	wantEqual(t, "bound", isDeletable(volume), false)
	volume.Status.Phase = corev1.VolumeReleased
	wantEqual(t, "released", isDeletable(volume), true)
	volume.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
	wantEqual(t, "to be kept", isDeletable(volume), false)
}

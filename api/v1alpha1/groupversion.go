package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of this package.
var GroupVersion = schema.GroupVersion{Group: "dbpair.io", Version: "v1alpha1"}

// AddToScheme registers the types of this package with a scheme.
var AddToScheme = schemeBuilder.AddToScheme

var schemeBuilder = runtime.NewSchemeBuilder(func(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&DatabasePair{}, &DatabasePairList{},
		&DatabasePairOperation{}, &DatabasePairOperationList{},
		&DatabasePairUser{}, &DatabasePairUserList{},
		&DatabasePairBackup{}, &DatabasePairBackupList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
})

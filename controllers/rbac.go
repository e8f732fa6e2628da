package controllers

// What the operator may do. docs/security.md says what each rule is for.
//
// +kubebuilder:rbac:groups=dbpair.io,resources=databasepairs,verbs=get;list;watch
// +kubebuilder:rbac:groups=dbpair.io,resources=databasepairs/status,verbs=patch
// +kubebuilder:rbac:groups=dbpair.io,resources=databasepairs/finalizers,verbs=update
// +kubebuilder:rbac:groups=dbpair.io,resources=databasepairoperations,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups=dbpair.io,resources=databasepairoperations/status,verbs=patch
// +kubebuilder:rbac:groups=dbpair.io,resources=databasepairusers,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=dbpair.io,resources=databasepairusers/status,verbs=patch
// +kubebuilder:rbac:groups=dbpair.io,resources=databasepairbackups,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=dbpair.io,resources=databasepairbackups/status,verbs=patch
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=get;create;update
// +kubebuilder:rbac:groups=apps,resources=statefulsets,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=services,verbs=get;list;watch;create;update;patch;delete
// +kubebuilder:rbac:groups="",resources=secrets;configmaps;serviceaccounts,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=delete
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;patch;delete
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups="",resources=nodes;namespaces,verbs=get;list;watch
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=roles;rolebindings,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups="",resources=events,verbs=create;list;patch
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create

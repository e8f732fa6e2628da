package v1alpha1

// GCSDestination is a bucket of Google Cloud Storage. It has to exist.
type GCSDestination struct {
	// bucket that the backups are in.
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$')",message="bucket must be the name of a bucket, of 3 to 63 lower case letters, digits, '.', '-' and '_'"
	// +kubebuilder:validation:MaxLength=63
	Bucket string `json:"bucket"`
	// prefix of the keys in the bucket, without a slash at its ends.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$') && !self.matches('(^|/)[.][.]?(/|$)')",message="prefix may have letters, digits, '.', '_', '-' and '/' between them, and no segment '.' or '..'"
	Prefix string `json:"prefix,omitempty"`
	// credentials is a key of a Secret with the JSON file of a service account's key, or of a
	// federation of identities. Without it the SDK looks for credentials of the ServiceAccount
	// of serviceAccountName, or <pair>-job, and of the node.
	// +optional
	Credentials *KeyReference `json:"credentials,omitempty"`
}

// AzureDestination is a container of Azure Blob Storage. It has to exist.
type AzureDestination struct {
	// account is the storage account.
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]{3,24}$')",message="account must be the name of a storage account, of 3 to 24 lower case letters and digits"
	// +kubebuilder:validation:MaxLength=24
	Account string `json:"account"`
	// container that the backups are in.
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9]|-[a-z0-9]){2,62}$')",message="container must be the name of a container, of 3 to 63 lower case letters, digits and single '-' between them"
	// +kubebuilder:validation:MaxLength=63
	Container string `json:"container"`
	// prefix of the keys in the container, without a slash at its ends.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$') && !self.matches('(^|/)[.][.]?(/|$)')",message="prefix may have letters, digits, '.', '_', '-' and '/' between them, and no segment '.' or '..'"
	Prefix string `json:"prefix,omitempty"`
	// credentials is a Secret with the key AZURE_STORAGE_KEY, an access key of the account. Without
	// it the SDK looks for credentials of the ServiceAccount of serviceAccountName, or <pair>-job, and
	// of the node.
	// +optional
	Credentials *SecretReference `json:"credentials,omitempty"`
}

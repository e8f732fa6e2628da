// Package blobstore is a store of objects over gocloud.dev/blob: S3 and what is compatible
// with it, Google Cloud Storage, Azure, a directory, and memory for tests. Credentials are
// found as each provider's SDK finds them: environment, files, or the identity of the pod's
// ServiceAccount.
//
// Objects are written once and in one request each. Requests to S3 carry neither checksum
// headers, beside Content-MD5, nor the aws-chunked encoding, which many compatible stores refuse.
//
// Only cmd/backup imports it: the SDKs are large, and neither the operator nor an agent
// needs credentials of a bucket.
package blobstore

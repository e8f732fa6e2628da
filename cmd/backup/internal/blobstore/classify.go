package blobstore

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"gocloud.dev/gcerrors"
	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"

	"github.com/dbpair/dbpair/internal/store"
)

// codes are the error codes of providers whose HTTP status alone would say too little.
var codes = map[string]store.Class{
	// S3 and compatible stores.
	"AccessDenied":                   store.Denied,
	"AllAccessDisabled":              store.Denied,
	"ExpiredToken":                   store.Denied,
	"InvalidAccessKeyId":             store.Denied,
	"InvalidToken":                   store.Denied,
	"SignatureDoesNotMatch":          store.Denied,
	"TokenRefreshRequired":           store.Denied,
	"NoSuchBucket":                   store.NoBucket,
	"NoSuchKey":                      store.NotFound,
	"RequestTimeTooSkewed":           store.Skewed,
	"RequestExpired":                 store.Skewed,
	"PreconditionFailed":             store.Exists,
	"ConditionalRequestConflict":     store.Unreachable,
	"SlowDown":                       store.Unreachable,
	"QuotaExceeded":                  store.Full,
	"InsufficientStorage":            store.Full,
	"XMinioStorageFull":              store.Full,
	"XMinioAdminBucketQuotaExceeded": store.Full,
	// Azure.
	"BlobAlreadyExists":     store.Exists,
	"BlobNotFound":          store.NotFound,
	"ContainerNotFound":     store.NoBucket,
	"ContainerBeingDeleted": store.NoBucket,
}

// fail wraps a provider's error with its class. An error that has a class keeps it.
func fail(op, key string, err error) error {
	var known *store.Error
	if errors.As(err, &known) {
		return known
	}
	return &store.Error{
		Op:    op,
		Key:   key,
		Class: classify(err),
		Err:   err,
	}
}

// classify asks the most specific evidence first; the first answer is the verdict.
func classify(err error) store.Class {
	if isWithoutCredentials(err) {
		return classWithoutCredentials(err)
	}
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return store.Untrusted
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return store.Full
	}
	if class, ok := codes[codeOf(err)]; ok {
		return class
	}
	if class := classOfStatus(statusOf(err)); class != store.Unknown {
		return class
	}
	if class := classOfCode(gcerrors.Code(err)); class != store.Unknown {
		return class
	}
	return classOfTransport(err)
}

// isWithoutCredentials reports whether an SDK failed before it sent a request, because it found
// no credentials or could not get them. That of S3 has no type for it, nor has Azure's when it
// found none.
func isWithoutCredentials(err error) bool {
	var google *oauth2.RetrieveError
	var azure *azidentity.AuthenticationFailedError
	text := err.Error()
	return errors.As(err, &google) || errors.As(err, &azure) ||
		strings.Contains(text, "get identity: ") || strings.Contains(text, "failed to acquire a token")
}

// classWithoutCredentials: a service for credentials that fails may be back later. What else
// it said is about credentials, not about an object.
func classWithoutCredentials(err error) store.Class {
	if classOfStatus(statusOf(err)) == store.Unreachable {
		return store.Unreachable
	}
	return store.Denied
}

// codeOf is the error code in the body of an answer, empty when there is none.
func codeOf(err error) string {
	var s3 smithy.APIError
	if errors.As(err, &s3) {
		return s3.ErrorCode()
	}
	var azure *azcore.ResponseError
	if errors.As(err, &azure) {
		return azure.ErrorCode
	}
	return ""
}

// statusOf is the HTTP status of an answer, 0 when there was none.
func statusOf(err error) int {
	var s3 *awshttp.ResponseError
	if errors.As(err, &s3) {
		return s3.HTTPStatusCode()
	}
	var azure *azcore.ResponseError
	if errors.As(err, &azure) {
		return azure.StatusCode
	}
	var google *googleapi.Error
	if errors.As(err, &google) {
		return google.Code
	}
	var token *oauth2.RetrieveError
	if errors.As(err, &token) && token.Response != nil {
		return token.Response.StatusCode
	}
	var identity *azidentity.AuthenticationFailedError
	if errors.As(err, &identity) && identity.RawResponse != nil {
		return identity.RawResponse.StatusCode
	}
	return 0
}

func classOfStatus(status int) store.Class {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return store.Denied
	case status == http.StatusNotFound:
		return store.NotFound
	case status == http.StatusPreconditionFailed:
		return store.Exists
	case status == http.StatusInsufficientStorage:
		return store.Full
	case status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= http.StatusInternalServerError:
		return store.Unreachable
	default:
		return store.Unknown
	}
}

func classOfCode(code gcerrors.ErrorCode) store.Class {
	switch code {
	case gcerrors.NotFound:
		return store.NotFound
	case gcerrors.AlreadyExists, gcerrors.FailedPrecondition:
		return store.Exists
	case gcerrors.PermissionDenied:
		return store.Denied
	default:
		return store.Unknown
	}
}

// classOfTransport is for errors without an answer. A canceled context says nothing about the store.
func classOfTransport(err error) store.Class {
	if errors.Is(err, context.Canceled) {
		return store.Unknown
	}
	if errors.Is(err, fs.ErrPermission) {
		return store.Denied
	}
	var network net.Error
	cut := errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded)
	if cut || errors.As(err, &network) {
		return store.Unreachable
	}
	return store.Unknown
}

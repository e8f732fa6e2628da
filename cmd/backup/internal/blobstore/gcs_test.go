package blobstore

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/dbpair/dbpair/internal/store"
	"github.com/dbpair/dbpair/internal/store/conformance"
)

func TestNoCredentialsOfGoogleIsDenied(t *testing.T) {
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(t.TempDir(), "none.json"))
	if s, err := Open(t.Context(), "gs://bucket/p"); store.ClassOf(err) != store.Denied {
		t.Errorf("opened %v: %v", s, err)
	}
}

// TestARefusedKeyOfGoogleIsDenied: the key of a service account is exchanged for a token first.
func TestARefusedKeyOfGoogleIsDenied(t *testing.T) {
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error": "invalid_grant", "error_description": "Invalid JWT Signature."}`))
	}))
	t.Cleanup(tokens.Close)
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", serviceAccount(t, tokens.URL))
	s := opened(t, "gs://bucket/p")
	if err := s.Put(t.Context(), "key", []byte("x")); store.ClassOf(err) != store.Denied {
		t.Errorf("put: %v", err)
	}
	if _, err := s.Get(t.Context(), "key"); store.ClassOf(err) != store.Denied {
		t.Errorf("get: %v", err)
	}
}

// TestAMissingBucketOfGoogleIsNoBucket: the answer is the same as for an object that is not there. It runs in a process of its own,
// since what opens gs:// keeps the first credentials of its process, and with an emulator these are good for nothing else.
func TestAMissingBucketOfGoogleIsNoBucket(t *testing.T) {
	if os.Getenv(envEmulator) != "" {
		conformance.RunWithoutBucket(t, opened(t, "gs://none/p"))
		return
	}
	answers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"error": {"code": 404, "message": "The specified bucket does not exist.",
			"errors": [{"message": "The specified bucket does not exist.", "domain": "global", "reason": "notFound"}]}}`))
	}))
	t.Cleanup(answers.Close)
	own := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	own.Env = append(os.Environ(), envEmulator+"="+strings.TrimPrefix(answers.URL, "http://"))
	out, err := own.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v: %s", err, out)
	}
}

// serviceAccount is a file with the key of a service account, as Google gives it out.
func serviceAccount(t *testing.T, tokens string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type":           "service_account",
		"project_id":     "p",
		"private_key_id": "k",
		"private_key":    string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"client_email":   "backup@p.test",
		"token_uri":      tokens,
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnIdentityThatAzureRefusesIsDenied(t *testing.T) {
	refused := func(status int) error {
		return &azidentity.AuthenticationFailedError{RawResponse: &http.Response{
			StatusCode: status,
			Request:    httptest.NewRequest(http.MethodPost, "/token", http.NoBody),
			Body:       http.NoBody,
		}}
	}
	for name, tc := range map[string]struct {
		err  error
		want store.Class
	}{
		"refused":                {refused(http.StatusUnauthorized), store.Denied},
		"a service that is away": {refused(http.StatusServiceUnavailable), store.Unreachable},
		"none":                   {errors.New("DefaultAzureCredential: failed to acquire a token"), store.Denied},
	} {
		if got := classify(tc.err); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

package s3test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/dbpair/dbpair/internal/mysqldtest"
)

const (
	// Bucket is the bucket that every server has.
	Bucket = "backups"
	// LockedBucket is the one that a server with a lock has beside it: objects are kept for a
	// day, and its versions with them.
	LockedBucket = "locked"

	region = "us-east-1"
)

// Keys are the credentials of one account.
type Keys struct {
	Access string
	Secret string
}

// The accounts of every server.
var (
	// Owner may do everything.
	Owner = Keys{Access: "owner", Secret: "secret-of-the-owner"}
	// Reader may list the bucket and read its objects.
	Reader = Keys{Access: "reader", Secret: "secret-of-the-reader"}
	// Stranger has an account and no rights.
	Stranger = Keys{Access: "stranger", Secret: "secret-of-the-stranger"}
)

// Options change what Start does.
type Options struct {
	// TLS has the server answer by TLS only, with a certificate of a CA of its own.
	TLS bool
	// Lock makes LockedBucket.
	Lock bool
}

// Server is one that runs.
type Server struct {
	// Endpoint is its URL.
	Endpoint string
	// CA is the file of the CA of its certificate, empty without TLS.
	CA string

	tb      testing.TB
	dir     string
	process *exec.Cmd
	log     bytes.Buffer
}

// Start returns a server with an empty bucket, which ends with the test.
func Start(tb testing.TB, options Options) *Server {
	tb.Helper()
	program := require(tb)
	s := &Server{tb: tb, dir: tb.TempDir()}
	for _, name := range []string{"data", "metadata", "accounts", "versions"} {
		if err := os.Mkdir(s.path(name), 0o700); err != nil {
			tb.Fatal(err)
		}
	}
	s.writeAccounts()
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(mysqldtest.FreePort(tb)))
	s.Endpoint = "http://" + address
	arguments := []string{"--port", address, "--quiet", "--region", region, "--iam-dir", s.path("accounts"), "--health", "/health"}
	if options.TLS {
		if err := mysqldtest.WriteCerts(s.dir); err != nil {
			tb.Fatal(err)
		}
		s.Endpoint = "https://" + address
		s.CA = s.path("ca.crt")
		arguments = append(arguments, "--cert", s.path("tls.crt"), "--key", s.path("tls.key"))
	}
	// Metadata in files of its own: not every file system has extended attributes.
	arguments = append(arguments, "posix", "--sidecar", s.path("metadata"), "--versioning-dir", s.path("versions"), s.path("data"))
	s.launch(program, arguments)
	mysqldtest.Await(tb, "the S3 server listens", func() bool {
		dialer := net.Dialer{Timeout: time.Second}
		conn, err := dialer.DialContext(tb.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	s.makeBuckets(options)
	return s
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

// writeAccounts is what the server keeps of accounts beside its first one.
func (s *Server) writeAccounts() {
	s.tb.Helper()
	accounts := map[string]any{}
	for _, keys := range []Keys{Reader, Stranger} {
		accounts[keys.Access] = map[string]any{
			"access": keys.Access,
			"secret": keys.Secret,
			"role":   "user",
		}
	}
	text, err := json.Marshal(map[string]any{"accessAccounts": accounts})
	if err == nil {
		err = os.WriteFile(filepath.Join(s.path("accounts"), "users.json"), text, 0o600)
	}
	if err != nil {
		s.tb.Fatal(err)
	}
}

func (s *Server) launch(program string, arguments []string) {
	s.tb.Helper()
	s.process = exec.CommandContext(s.tb.Context(), program, arguments...)
	s.process.Env = []string{"ROOT_ACCESS_KEY_ID=" + Owner.Access, "ROOT_SECRET_ACCESS_KEY=" + Owner.Secret}
	s.process.Stdout = &s.log
	s.process.Stderr = &s.log
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		s.tb.Fatalf("start the S3 server: %v", err)
	}
	s.tb.Cleanup(func() {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
		if s.tb.Failed() {
			s.tb.Logf("log of the S3 server:\n%s", &s.log)
		}
	})
}

func (s *Server) makeBuckets(options Options) {
	s.tb.Helper()
	client := s.client()
	ctx := context.Background()
	policy := fmt.Sprintf(`{"Version": "2012-10-17", "Statement": [{
		"Effect": "Allow", "Principal": {"AWS": [%[1]q]},
		"Action": ["s3:GetObject", "s3:ListBucket"],
		"Resource": ["arn:aws:s3:::%[2]s", "arn:aws:s3:::%[2]s/*"]
	}]}`, Reader.Access, Bucket)
	_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(Bucket)})
	if err == nil {
		_, err = client.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: aws.String(Bucket), Policy: aws.String(policy)})
	}
	if err == nil && options.Lock {
		err = makeLocked(ctx, client)
	}
	if err != nil {
		s.tb.Fatalf("make a bucket: %v", err)
	}
}

func makeLocked(ctx context.Context, client *s3.Client) error {
	_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{
		Bucket:                     aws.String(LockedBucket),
		ObjectLockEnabledForBucket: aws.Bool(true),
	})
	if err != nil {
		return err
	}
	_, err = client.PutObjectLockConfiguration(ctx, &s3.PutObjectLockConfigurationInput{
		Bucket: aws.String(LockedBucket),
		ObjectLockConfiguration: &types.ObjectLockConfiguration{
			ObjectLockEnabled: types.ObjectLockEnabledEnabled,
			Rule: &types.ObjectLockRule{DefaultRetention: &types.DefaultRetention{
				Mode: types.ObjectLockRetentionModeCompliance,
				Days: aws.Int32(1),
			}},
		},
	})
	return err
}

// client is the owner's.
func (s *Server) client() *s3.Client {
	s.tb.Helper()
	options := s3.Options{
		Region:       region,
		BaseEndpoint: aws.String(s.Endpoint),
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider(Owner.Access, Owner.Secret, ""),
	}
	if s.CA != "" {
		options.HTTPClient = trusting(s.tb, s.CA)
	}
	return s3.New(options)
}

// Location is the URL of a prefix in a bucket, at an endpoint: the server's, or that of a proxy
// before it.
func Location(endpoint, bucket, prefix string) string {
	query := url.Values{
		"endpoint":       {endpoint},
		"region":         {region},
		"use_path_style": {"true"},
	}
	return "s3://" + bucket + "/" + prefix + "?" + query.Encode()
}

// Use has this test's process use an account, and no other source of credentials.
func (s *Server) Use(t *testing.T, keys Keys) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", keys.Access)
	t.Setenv("AWS_SECRET_ACCESS_KEY", keys.Secret)
	t.Setenv("AWS_SESSION_TOKEN", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CA_BUNDLE", s.CA)
}

// Dir is the directory in which the server keeps what is below a prefix of Bucket, a file for each object.
func (s *Server) Dir(prefix string) string {
	return filepath.Join(s.path("data"), Bucket, filepath.FromSlash(prefix))
}

// PID is that of the server's process.
func (s *Server) PID() int { return s.process.Process.Pid }

// Freeze has the server answer nothing until Thaw. It returns when the server has stopped.
func (s *Server) Freeze() {
	s.tb.Helper()
	s.signal(syscall.SIGSTOP)
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(s.process.Process.Pid, &status, syscall.WUNTRACED, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil || !status.Stopped():
			s.tb.Errorf("the S3 server does not stop: %v, status %v", err, status)
			return
		default:
			return
		}
	}
}

// Thaw ends Freeze.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(signal syscall.Signal) {
	s.tb.Helper()
	if err := s.process.Process.Signal(signal); err != nil {
		s.tb.Fatal(err)
	}
}

// Versions counts the versions of objects that a bucket keeps.
func (s *Server) Versions(bucket string) int {
	s.tb.Helper()
	out, err := s.client().ListObjectVersions(context.Background(), &s3.ListObjectVersionsInput{Bucket: aws.String(bucket)})
	if err != nil {
		s.tb.Fatalf("list versions: %v", err)
	}
	return len(out.Versions)
}

package s3test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Proxy starts a proxy before the server and returns its endpoint, which is one of plain HTTP.
// Each request goes through change, which may answer it and return true, wait, or change it. It
// is called concurrently.
func (s *Server) Proxy(change func(http.ResponseWriter, *http.Request) (answered bool)) string {
	s.tb.Helper()
	target, err := url.Parse(s.Endpoint)
	if err != nil {
		s.tb.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // the signature is for it
		},
		// A client that goes away in the middle is no news.
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	if s.CA != "" {
		proxy.Transport = trusting(s.tb, s.CA).Transport
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !change(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	s.tb.Cleanup(front.Close)
	return front.URL
}

// Refuse answers a request as a store does, with an error code.
func Refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>refused for a test</Message></Error>", code)
}

// SignAt signs a request again, as the owner whose clock says at.
func SignAt(ctx context.Context, r *http.Request, at time.Time) error {
	r.Header.Del("Authorization")
	keys := aws.Credentials{
		AccessKeyID:     Owner.Access,
		SecretAccessKey: Owner.Secret,
	}
	return v4.NewSigner().SignHTTP(ctx, keys, r, r.Header.Get("X-Amz-Content-Sha256"), "s3", region, at)
}

// trusting is a client that trusts the authorities of a file only.
func trusting(tb testing.TB, file string) *http.Client {
	tb.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		tb.Fatalf("%s has no certificate", file)
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs:    pool,
		MinVersion: tls.VersionTLS12,
	}}}
}

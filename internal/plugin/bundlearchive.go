package plugin

import (
	"archive/tar"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/resources"
)

// archive writes the files in the order of their names, below one directory, with each value
// of a Secret replaced.
func (b *bundle) archive(out io.Writer, directory string, made time.Time) error {
	files := append(slices.Clone(b.files), bundleFile{name: "unread.txt", text: b.unreadText()})
	slices.SortFunc(files, func(a, c bundleFile) int { return strings.Compare(a.name, c.name) })
	compressed := gzip.NewWriter(out)
	archive := tar.NewWriter(compressed)
	for _, f := range files {
		text := b.hide.Replace(f.text)
		err := archive.WriteHeader(&tar.Header{
			Name:    path.Join(directory, f.name),
			Mode:    0o600,
			Size:    int64(len(text)),
			ModTime: made,
		})
		if err == nil {
			_, err = io.WriteString(archive, text)
		}
		if err != nil {
			return fmt.Errorf("write %s into the report: %w", f.name, err)
		}
	}
	return errors.Join(archive.Close(), compressed.Close())
}

// hidden is what a value of a Secret is replaced by.
const hidden = "[value of a Secret]"

// leastHidden is how long a value is at least, in bytes, to be replaced: shorter ones are part
// of ordinary words.
const leastHidden = 4

// leastKeyLine is how long a line of a private key is at least, in bytes, to be replaced by itself.
const leastKeyLine = 24

// publicKeys are the keys of a pair's Secrets whose values are no secret: an address that is
// replaced would make the rest unreadable.
var publicKeys = map[string]bool{
	"type":                   true,
	"provider":               true,
	"host":                   true,
	"passive-host":           true,
	"port":                   true,
	"database":               true,
	resources.KeyUsername:    true,
	resources.KeyCA:          true,
	resources.KeyTrustStore:  true,
	resources.KeyLeaseSigned: true,
	corev1.TLSCertKey:        true,
	"next.crt":               true,
	"next.since":             true,
}

// secretValues are values of Secrets in each form in which they may stand in a text.
type secretValues map[string]bool

func (v secretValues) add(s *corev1.Secret) {
	for key, value := range s.Data {
		if publicKeys[key] {
			continue
		}
		v.forms(string(value))
		if !strings.HasSuffix(key, ".key") {
			continue
		}
		for line := range strings.Lines(string(value)) {
			if line = strings.TrimSpace(line); len(line) >= leastKeyLine && !strings.HasPrefix(line, "-----") {
				v[line] = true
			}
		}
	}
}

// forms adds a value as it is, and as it stands in JSON, in YAML, in HTML, in a URL and in base64.
func (v secretValues) forms(value string) {
	trimmed := strings.TrimSpace(value)
	if len(trimmed) < leastHidden {
		return
	}
	for _, form := range []string{value, trimmed} {
		v[form] = true
		v[quoted(form, true)] = true
		v[quoted(form, false)] = true
		v[strings.ReplaceAll(form, "'", "''")] = true
		v[html.EscapeString(form)] = true
		v[url.QueryEscape(form)] = true
		v[url.PathEscape(form)] = true
		v[base64.StdEncoding.EncodeToString([]byte(form))] = true
	}
}

// quoted is a text as it stands between the quotes of a JSON string.
func quoted(text string, escapeHTML bool) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(escapeHTML)
	if encoder.Encode(text) != nil {
		return text
	}
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(out.String()), `"`), `"`)
}

// conceal is the content of an object with values of Secrets replaced in all its texts, before an
// encoding breaks lines or escapes what is in them.
func (b *bundle) conceal(o client.Object) (map[string]any, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, fmt.Errorf("look for values of Secrets in %s: %w", o.GetName(), err)
	}
	concealIn(content, b.hide)
	return content, nil
}

// concealIn is value with each text in it replaced; maps and lists are changed in place.
func concealIn(value any, hide *strings.Replacer) any {
	switch value := value.(type) {
	case string:
		return hide.Replace(value)
	case map[string]any:
		for key := range value {
			value[key] = concealIn(value[key], hide)
		}
	case []any:
		for i := range value {
			value[i] = concealIn(value[i], hide)
		}
	}
	return value
}

// replacer replaces the longest value that stands at a place.
func (v secretValues) replacer() *strings.Replacer {
	values := make([]string, 0, len(v))
	for value := range v {
		values = append(values, value)
	}
	slices.SortFunc(values, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	var pairs []string
	for _, value := range values {
		pairs = append(pairs, value, hidden)
	}
	return strings.NewReplacer(pairs...)
}

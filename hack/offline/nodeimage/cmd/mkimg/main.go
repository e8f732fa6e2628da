// Command mkimg writes a docker-archive (what "docker load" and containerd read) from folders, without an engine:
//
//	mkimg -o FILE [-env K=V]… [-user U] [-label K=V]… IMAGE=FOLDER[,ENTRYPOINT[,ARG…]]…
//
// Each folder becomes one layer; folders named more than once are stored once. Names stay as they are given ("docker save"
// would cut off the registry), and the file "repositories" comes first, because kind reads all names from that and only the
// first from "manifest.json".
package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// epoch makes the same input give the same bytes.
var epoch = time.Unix(0, 0).UTC()

type list []string

func (l *list) String() string         { return strings.Join(*l, " ") }
func (l *list) Set(value string) error { *l = append(*l, value); return nil }

type image struct {
	name, folder string
	entrypoint   []string
}

type options struct {
	env, labels list
	user        string
}

func main() {
	var opts options
	output := flag.String("o", "", "archive to write")
	flag.Var(&opts.env, "env", "environment variable, K=V")
	flag.Var(&opts.labels, "label", "label, K=V")
	flag.StringVar(&opts.user, "user", "", "numeric user")
	flag.Parse()
	if *output == "" || flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	images := make([]image, 0, flag.NArg())
	for _, arg := range flag.Args() {
		parsed, err := parse(arg)
		if err != nil {
			fail(err)
		}
		images = append(images, parsed)
	}
	if err := write(*output, images, opts); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "mkimg:", err)
	os.Exit(1)
}

func parse(arg string) (image, error) {
	name, rest, found := strings.Cut(arg, "=")
	if !found || !strings.Contains(name, ":") {
		return image{}, fmt.Errorf("%q is not NAME:TAG=FOLDER[,ENTRYPOINT…]", arg)
	}
	parts := strings.Split(rest, ",")
	return image{
		name:       name,
		folder:     parts[0],
		entrypoint: parts[1:],
	}, nil
}

// layer is one packed folder, kept as a file until it is copied into the archives.
type layer struct {
	file, digest string
	size         int64
}

func write(output string, images []image, opts options) error {
	scratch, err := os.MkdirTemp(filepath.Dir(output), ".mkimg")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)

	layers := map[string]layer{}
	configs := map[string][]byte{}
	var manifest []map[string]any
	repositories := map[string]map[string]string{}
	for _, img := range images {
		packed, done := layers[img.folder]
		if !done {
			if packed, err = pack(img.folder, filepath.Join(scratch, fmt.Sprint(len(layers)))); err != nil {
				return fmt.Errorf("packing %s: %w", img.folder, err)
			}
			layers[img.folder] = packed
		}
		config, err := json.Marshal(configuration(img, packed, opts))
		if err != nil {
			return err
		}
		id := digest(config)
		configs[id+".json"] = config
		manifest = append(manifest, map[string]any{
			"Config":   id + ".json",
			"RepoTags": []string{img.name},
			"Layers":   []string{packed.digest + "/layer.tar"},
		})
		cut := strings.LastIndex(img.name, ":")
		if repositories[img.name[:cut]] == nil {
			repositories[img.name[:cut]] = map[string]string{}
		}
		repositories[img.name[:cut]][img.name[cut+1:]] = id
	}
	return archive(output, repositories, manifest, configs, layers)
}

func configuration(img image, packed layer, opts options) map[string]any {
	labels := map[string]string{}
	for _, label := range opts.labels {
		key, value, _ := strings.Cut(label, "=")
		labels[key] = value
	}
	return map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"created":      epoch.Format(time.RFC3339),
		"config": map[string]any{
			"Env":        append([]string{path}, opts.env...),
			"Entrypoint": img.entrypoint,
			"User":       opts.user,
			"Labels":     labels,
		},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + packed.digest}},
		"history": []map[string]any{{"created": epoch.Format(time.RFC3339), "created_by": "mkimg"}},
	}
}

func archive(output string, repositories, manifest any, configs map[string][]byte, layers map[string]layer) error {
	file, err := os.Create(output + ".new")
	if err != nil {
		return err
	}
	defer file.Close()
	writer := tar.NewWriter(file)
	for _, part := range []struct {
		name    string
		content any
	}{{"repositories", repositories}, {"manifest.json", manifest}} {
		content, err := json.Marshal(part.content)
		if err != nil {
			return err
		}
		configs[part.name] = content
		if err := entry(writer, part.name, int64(len(content)), bytes.NewReader(content)); err != nil {
			return err
		}
		delete(configs, part.name)
	}
	for name, content := range configs {
		if err := entry(writer, name, int64(len(content)), bytes.NewReader(content)); err != nil {
			return err
		}
	}
	for _, packed := range layers {
		if err := copyLayer(writer, packed); err != nil {
			return err
		}
	}
	if err := writer.Close(); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(output+".new", output)
}

func copyLayer(writer *tar.Writer, packed layer) error {
	file, err := os.Open(packed.file)
	if err != nil {
		return err
	}
	defer file.Close()
	return entry(writer, packed.digest+"/layer.tar", packed.size, file)
}

func entry(writer *tar.Writer, name string, size int64, content io.Reader) error {
	header := &tar.Header{
		Name:     name,
		Mode:     0o644,
		Size:     size,
		ModTime:  epoch,
		Typeflag: tar.TypeReg,
	}
	if err := writer.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(writer, content)
	return err
}

// pack writes a folder as a layer: everything belongs to root, times are zero, the order is that of the names.
func pack(folder, file string) (layer, error) {
	target, err := os.Create(file)
	if err != nil {
		return layer{}, err
	}
	defer target.Close()
	sum := sha256.New()
	writer := tar.NewWriter(io.MultiWriter(target, sum))
	err = filepath.WalkDir(folder, func(path string, item fs.DirEntry, err error) error {
		if err != nil || path == folder {
			return err
		}
		return add(writer, folder, path, item)
	})
	if err != nil {
		return layer{}, err
	}
	if err := writer.Close(); err != nil {
		return layer{}, err
	}
	info, err := target.Stat()
	if err != nil {
		return layer{}, err
	}
	return layer{
		file:   file,
		digest: hex.EncodeToString(sum.Sum(nil)),
		size:   info.Size(),
	}, nil
}

func add(writer *tar.Writer, folder, path string, item fs.DirEntry) error {
	info, err := item.Info()
	if err != nil {
		return err
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(path); err != nil {
			return err
		}
	}
	header, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	if header.Name, err = filepath.Rel(folder, path); err != nil {
		return err
	}
	if info.IsDir() {
		header.Name += "/"
	}
	header.Uid = 0
	header.Gid = 0
	header.Uname = ""
	header.Gname = ""
	header.ModTime = epoch
	header.AccessTime = time.Time{}
	header.ChangeTime = time.Time{}
	if err := writer.WriteHeader(header); err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(writer, file)
	return err
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

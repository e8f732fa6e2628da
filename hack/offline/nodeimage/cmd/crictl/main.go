// Command crictl answers the few questions that kind asks a node about its images, from containerd's CRI socket:
//
//	crictl inspecti IMAGE   {"status":{"id":…,"repoTags":[…]}}
//	crictl images | ps | pods
//
// It is not a replacement for the real tool; it exists because that one is not a Go module that can be fetched.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	socket  = "unix:///run/containerd/containerd.sock"
	timeout = 20 * time.Second
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "crictl:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("usage: crictl inspecti IMAGE | images | ps | pods")
	}
	connection, err := grpc.NewClient(socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()

	switch {
	case args[0] == "inspecti" && len(args) >= 2:
		return inspectImage(ctx, cri.NewImageServiceClient(connection), args[len(args)-1])
	case args[0] == "images":
		return listImages(ctx, cri.NewImageServiceClient(connection))
	case args[0] == "ps":
		return listContainers(ctx, cri.NewRuntimeServiceClient(connection))
	case args[0] == "pods":
		return listPods(ctx, cri.NewRuntimeServiceClient(connection))
	}
	return fmt.Errorf("unknown command %q", strings.Join(args, " "))
}

func inspectImage(ctx context.Context, images cri.ImageServiceClient, name string) error {
	answer, err := images.ImageStatus(ctx, &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: name}})
	if err != nil {
		return err
	}
	if answer.Image == nil {
		return fmt.Errorf("no such image %q", name)
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(map[string]any{"status": map[string]any{
		"id":          answer.Image.Id,
		"repoTags":    answer.Image.RepoTags,
		"repoDigests": answer.Image.RepoDigests,
		"size":        answer.Image.Size,
	}})
}

func listImages(ctx context.Context, images cri.ImageServiceClient) error {
	answer, err := images.ListImages(ctx, &cri.ListImagesRequest{})
	if err != nil {
		return err
	}
	for _, image := range answer.Images {
		fmt.Printf("%-12.12s %10d  %s\n", strings.TrimPrefix(image.Id, "sha256:"), image.Size, strings.Join(image.RepoTags, " "))
	}
	return nil
}

func listContainers(ctx context.Context, runtime cri.RuntimeServiceClient) error {
	answer, err := runtime.ListContainers(ctx, &cri.ListContainersRequest{})
	if err != nil {
		return err
	}
	for _, c := range answer.Containers {
		fmt.Printf("%-13.13s %-18s %-24s %s\n", c.Id, c.State, c.Metadata.Name, c.Labels["io.kubernetes.pod.name"])
	}
	return nil
}

func listPods(ctx context.Context, runtime cri.RuntimeServiceClient) error {
	answer, err := runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{})
	if err != nil {
		return err
	}
	for _, pod := range answer.Items {
		fmt.Printf("%-13.13s %-18s %s/%s\n", pod.Id, pod.State, pod.Metadata.Namespace, pod.Metadata.Name)
	}
	return nil
}

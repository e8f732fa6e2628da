# One image for the operator, the agents and the jobs: static binaries on an empty file system.
# hack/images.sh makes the same without the network.
# A release names the image by digest (docs/releasing.md).
ARG GO_VERSION=1.26
ARG GO_IMAGE=golang:${GO_VERSION}
FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
COPY cmd/backup/go.mod cmd/backup/go.sum cmd/backup/
COPY hack/exporter hack/exporter
RUN go mod download && go mod download -C cmd/backup && go mod download -C hack/exporter
COPY api api
COPY cmd cmd
COPY controllers controllers
COPY internal internal
ARG TARGETOS TARGETARCH LDFLAGS=""
RUN mkdir -p /out/tmp /out/etc/ssl/certs && chmod 1777 /out/tmp \
 && for program in manager agent job; do \
      if [ -d "cmd/$program" ]; then \
        CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags "-s -w ${LDFLAGS}" -o "/out/$program" "./cmd/$program" || exit 1; \
      fi; \
    done \
 && CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -C cmd/backup -trimpath -ldflags "-s -w ${LDFLAGS}" -o /out/backup . \
 && CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -C hack/exporter -trimpath -ldflags "-s -w" -o /out/mysqld_exporter \
      github.com/prometheus/mysqld_exporter \
 && printf 'root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n' >/out/etc/passwd \
 && printf 'root:x:0:\nnonroot:x:65532:\n' >/out/etc/group \
 && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/

FROM scratch
COPY --from=build /out/ /
USER 65532:65532
ENTRYPOINT ["/manager"]

# A node in a container. It needs the host's network and two capabilities, for the VIP is an address of the host:
#
#   docker build --build-arg REVISION=$(git rev-parse HEAD) -t tandem .
#   docker run -d --name tandem --restart always --network host --cap-drop ALL --cap-add NET_ADMIN --cap-add NET_RAW \
#     -v /etc/tandem:/etc/tandem:ro -v /var/lib/tandem:/var/lib/tandem tandem
#
# Listeners below port 1024 need --cap-add NET_BIND_SERVICE, or net.ipv4.ip_unprivileged_port_start=80 on the host; SYS_NICE keeps
# a node in time on a host that is overloaded. Reload: docker kill -s HUP tandem.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
ARG REVISION=
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.version=$VERSION -X main.revision=$REVISION" -o /tandem ./cmd/tandem

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /tandem /usr/bin/tandem
VOLUME /var/lib/tandem
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/tandem"]
CMD ["run"]

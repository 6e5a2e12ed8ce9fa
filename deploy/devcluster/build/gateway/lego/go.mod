// Stands in for lego, by which Traefik asks authorities for certificates: no gateway here has any, and several of the
// hundred DNS providers' SDKs that lego requires are served by no proxy. It has what Traefik names, and no client.
module github.com/go-acme/lego/v5

go 1.26.0

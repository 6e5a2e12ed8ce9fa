// Stands in for lego, by which Traefik asks authorities for certificates: no gateway here has any, and not every proxy serves
// all the DNS providers' SDKs that lego requires. It has what Traefik names, and no client.
module github.com/go-acme/lego/v5

go 1.26.0

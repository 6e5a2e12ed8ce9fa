package image

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	azpolicy "github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/google/go-containerregistry/pkg/authn"
)

// azureIdentity gives an access token of the process's identity: a workload identity, the environment's or the machine's.
type azureIdentity func(ctx context.Context, scope string) (string, error)

func defaultAzure(ctx context.Context, scope string) (string, error) {
	who, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return "", err
	}
	t, err := who.GetToken(ctx, azpolicy.TokenRequestOptions{Scopes: []string{scope}})
	return t.Token, err
}

// acrScope is the registries' own resource, where a token for Azure's management would do far more.
const acrScope = "https://containerregistry.azure.net/.default"

// acrLife is how long a refresh token lasts where it does not say (three hours, by the documentation).
const acrLife = time.Hour

// acr exchanges an access token for one of the registry
// (https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md#calling-post-oauth2exchange-to-get-an-acr-refresh-token), which
// go-containerregistry then uses as an identity token.
func (i *identities) acr(ctx context.Context, host string) (token, error) {
	identity := i.azure
	if identity == nil {
		identity = defaultAzure
	}
	access, err := identity(ctx, acrScope)
	if err != nil {
		return token{}, noIdentity(err)
	}
	form := url.Values{"grant_type": {"access_token"}, "service": {host}, "access_token": {access}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+host+"/oauth2/exchange", strings.NewReader(form.Encode()))
	if err != nil {
		return token{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := i.ask(req, &answer); err != nil {
		return token{}, fmt.Errorf("exchanging the identity's token: %w", err)
	}
	if answer.RefreshToken == "" {
		return token{}, errors.New("exchanging the identity's token gave none")
	}
	return token{authn.AuthConfig{IdentityToken: answer.RefreshToken}, expiry(answer.RefreshToken)}, nil
}

// expiry is when a JSON web token ends. Nobody but the registry needs to trust it.
func expiry(jwt string) time.Time {
	parts := strings.Split(jwt, ".")
	var claims struct{ Exp int64 }
	if len(parts) == 3 {
		if text, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil && json.Unmarshal(text, &claims) == nil && claims.Exp > 0 {
			return time.Unix(claims.Exp, 0)
		}
	}
	return time.Now().Add(acrLife)
}

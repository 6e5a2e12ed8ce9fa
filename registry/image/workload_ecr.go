package image

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/google/go-containerregistry/pkg/authn"
)

// ecrHost is a private registry of Elastic Container Registry: account, FIPS or not, region, China or not.
var ecrHost = regexp.MustCompile(`^[0-9]{12}\.dkr[.-]ecr(-fips)?\.([a-z0-9-]+)\.(amazonaws\.com(?:\.cn)?|on\.aws)$`)

// awsIdentity gives the process's credentials: of the environment, a web identity (IRSA), a pod identity or the machine.
type awsIdentity func(context.Context) (aws.Credentials, error)

func defaultAWS(ctx context.Context) (aws.Credentials, error) {
	cfg, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return aws.Credentials{}, err
	}
	return cfg.Credentials.Retrieve(ctx)
}

// ecr asks GetAuthorizationToken (https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html). The
// one request is written here: the service's client would be a megabyte of the binary.
func (i *identities) ecr(ctx context.Context, host string) (token, error) {
	m := ecrHost.FindStringSubmatch(host)
	region, domain := m[2], m[3]
	if domain == "on.aws" {
		domain = "amazonaws.com"
	}
	identity := i.aws
	if identity == nil {
		identity = defaultAWS
	}
	who, err := identity(ctx)
	if err != nil {
		return token{}, noIdentity(err)
	}
	const body = "{}"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.ecr"+m[1]+"."+region+"."+domain+"/", strings.NewReader(body))
	if err != nil {
		return token{}, err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(ctx, who, req, hex.EncodeToString(sum[:]), "ecr", region, time.Now()); err != nil {
		return token{}, err
	}
	var answer struct {
		AuthorizationData []struct {
			AuthorizationToken string
			ExpiresAt          float64
		} `json:"authorizationData"`
	}
	if err := i.ask(req, &answer); err != nil {
		return token{}, fmt.Errorf("ecr:GetAuthorizationToken: %w", err)
	}
	if len(answer.AuthorizationData) == 0 {
		return token{}, fmt.Errorf("ecr:GetAuthorizationToken gave nothing")
	}
	data := answer.AuthorizationData[0]
	plain, err := base64.StdEncoding.DecodeString(data.AuthorizationToken)
	user, password, ok := strings.Cut(string(plain), ":")
	if err != nil || !ok {
		return token{}, fmt.Errorf("ecr:GetAuthorizationToken gave no user and password")
	}
	return token{authn.AuthConfig{Username: user, Password: password}, time.Unix(int64(data.ExpiresAt), 0)}, nil
}

// ask sends a request for a token and reads the JSON of its answer. What is wrong is told by its beginning.
func (i *identities) ask(req *http.Request, answer any) error {
	got, err := i.http().Do(req)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	text, err := io.ReadAll(io.LimitReader(got.Body, 64<<10))
	if err != nil {
		return err
	}
	if got.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %.200s", got.Status, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("the answer is no JSON: %T", err) // it may hold the token
	}
	return nil
}

// Package registration has what an account is asked for with.
package registration

// RegisterOptions are those of most authorities.
type RegisterOptions struct{ TermsOfServiceAgreed bool }

// RegisterEABOptions are those where one is a customer already.
type RegisterEABOptions struct {
	TermsOfServiceAgreed bool
	Kid, HmacEncoded     string
}

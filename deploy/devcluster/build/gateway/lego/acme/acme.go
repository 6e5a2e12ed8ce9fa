// Package acme has the account at an authority.
package acme

// Account is one's own.
type Account struct{}

// ExtendedAccount is an account and where it is.
type ExtendedAccount struct {
	Account
	Location string
}

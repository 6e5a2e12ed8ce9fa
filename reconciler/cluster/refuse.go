package cluster

import (
	"fmt"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// refusal tells an answer about the object's content from one about rights, quotas or the server's state.
func refusal(ref v1alpha1.ObjectRef, err error) error {
	if refused(err) {
		return &RefusedError{Ref: ref, Message: err.Error()}
	}
	return fmt.Errorf("applying %s: %w", ref, err)
}

func refused(err error) bool {
	message := err.Error()
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return false
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		return true
	case apierrors.IsForbidden(err):
		// Authorization and quota answer 403 too, and both can change without a new revision.
		return !strings.Contains(message, " cannot ") && !strings.Contains(message, "exceeded quota") &&
			!strings.Contains(message, "failed quota")
	case strings.Contains(message, "field not declared in schema"), strings.Contains(message, "failed to create typed patch object"):
		// Server-side apply answers an unknown field, or one of a wrong type, with 500.
		return true
	}
	status, ok := err.(apierrors.APIStatus)
	return ok && strings.Contains(message, "denied the request") && status.Status().Code < http.StatusInternalServerError
}

package render

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// How Kustomize tells of an error in a layer, behind the folders that led there and before a guess of its own; and of
// a patch of davit's last layer that finds nothing.
var (
	inLayer = regexp.MustCompile(`(?s)^.*/layers/(base|accelerator|component-([0-9]+))[^']*': (.*)$`)
	unfound = regexp.MustCompile(`failed to find unique target for patch ([A-Za-z]+)[^/]*/([^ ]+?)\.\[`)
)

// blame says of an error of Kustomize which layer's it is, and no more than what is wrong there.
func (o *overlay) blame(err error) error {
	r, text := o.release, err.Error()
	if m := unfound.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("%s:1: building %s: a Component renamed, moved or removed %s %q; it can't", r.Path, r.Key(), m[1], m[2])
	}
	text, _, _ = strings.Cut(text, "': must build at directory:")
	m := inLayer.FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("building %s: %w", r.Key(), brief(err))
	}
	dir := r.BaseDir()
	if m[1] == "accelerator" {
		dir = r.Accelerator.Dir
	}
	if n, convErr := strconv.Atoi(m[2]); convErr == nil {
		dirs := r.Components
		if r.Environment.Component != "" {
			dirs = append([]string{r.Environment.Component}, dirs...)
		}
		if n < 1 || n > len(dirs) { // words of a file's own that look like a place
			return fmt.Errorf("building %s: %w", r.Key(), brief(err))
		}
		dir = dirs[n-1]
	}
	why := strings.TrimSuffix(strings.TrimPrefix(m[3], "accumulating resources: accumulation err='"), `"`)
	return fmt.Errorf("%s:1: building %s: %w", path.Join(dir, "kustomization.yaml"), r.Key(), brief(errors.New(why)))
}

// brief cuts an error of Kustomize, which may hold all the objects there are.
func brief(err error) error {
	const most = 600
	if text := err.Error(); len(text) > most {
		return errors.New(strings.ToValidUTF8(text[:most], "") + "…")
	}
	return err
}

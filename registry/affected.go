package registry

// Affected says what a change of some paths can be about, for those who read single releases with [LoadRelease]: the
// names of releases and of models, in whichever team's folder they lie; shared when it may be about any release, as
// a runtime or an environment is. What nobody reads is about nothing.
//
// A release can also turn sound or faulty because of another one (dependsOn, two folders of one name). That is not told.
func Affected(paths []string) (releases, models map[string]bool, shared bool) {
	releases, models = map[string]bool{}, map[string]bool{}
	for _, name := range paths {
		switch k, p, rest := placeOf(name); k {
		case kindRoot, kindEnvironment, kindRuntime, kindAccelerator:
			shared = true
		case kindRelease:
			releases[p.name] = true
		case kindModel:
			if rest == "" || is(rest, "model.yaml", "versions") {
				models[p.name] = true
			}
		}
	}
	return releases, models, shared
}

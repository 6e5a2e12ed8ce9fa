package gitops

// OwnBranches begins the names of the branches that davit writes.
const OwnBranches = ownPrefix

// OwnRefs are the beginnings of the refs that davit writes: a push of one of them is no news.
func OwnRefs() []string { return []string{"refs/notes/", ownRuns, "refs/heads/" + OwnBranches} }

// Davit is who commits when nobody else is named.
func Davit() Author { return Author{Name: "davit", Email: "davit@davit.dev"} }

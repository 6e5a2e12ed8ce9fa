package gitops

// OwnBranches begins the names of the branches that davit writes.
const OwnBranches = ownPrefix

// Davit is who commits when nobody else is named.
func Davit() Author { return Author{Name: "davit", Email: "davit@davit.dev"} }

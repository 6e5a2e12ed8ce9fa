package lineage

// The kinds of nodes.
const (
	KindVersion  = "version"
	KindRun      = "run"
	KindTraining = "training"
	KindCode     = "code" // the trainer's image
	KindDataset  = "dataset"
	KindRelease  = "release"
)

// The kinds of edges, each from what was there before to what came of it.
const (
	EdgeMade   = "made"   // run or dataset -> version
	EdgeSpec   = "spec"   // training -> run
	EdgeCode   = "code"   // code -> run
	EdgeData   = "data"   // dataset -> run
	EdgeBase   = "base"   // version -> the run or version that started from it
	EdgeStarts = "starts" // version -> a training that starts from it now
	EdgeServes = "serves" // version -> a release that serves it now
	EdgeServed = "served" // version -> a release that served it before
)

// Graph is the lineage of one version. Equal input gives equal graphs, nodes and edges in the same order.
type Graph struct {
	// Root is the ID of the version that was asked for.
	Root  string `json:"root"`
	Nodes []Node `json:"nodes"`
	Edges []Edge `json:"edges"`
	// Cut says that there is more before or after, beyond [MaxDepth] versions or [MaxNodes] nodes.
	Cut bool `json:"cut,omitempty"`
}

// Node is a thing.
type Node struct {
	// ID is "kind:name", unique in the graph; a dataset's goes on with its address and content, a run's spec's with its commit.
	ID   string `json:"id"`
	Kind string `json:"kind"`
	// Name is what people call it: model@version, model/run, model/training, an image, a dataset's name, env/release.
	Name string `json:"name"`
	// Missing says that it is named, and is not, or no longer, in the registry.
	Missing bool `json:"missing,omitempty"`
	// Facts are what is known of it, the important first.
	Facts []Fact `json:"facts,omitempty"`
}

// Fact is one thing that is known: "state" Succeeded.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// asOf is the fact of a run's spec that says at which commit it is told, or "now".
const asOf = "as of"

// Edge leads from what was before to what came of it; both are IDs.
type Edge struct {
	From string `json:"from"`
	To   string `json:"to"`
	Kind string `json:"kind"`
	// Facts tell of a release from when to when it served, and of a base which run started from it.
	Facts []Fact `json:"facts,omitempty"`
	// Cycle says that the edge leads back to what comes before it, which only an error in the files does.
	Cycle bool `json:"cycle,omitempty"`
}

// Node is the node of an ID, nil when there is none.
func (g *Graph) Node(id string) *Node {
	for i := range g.Nodes {
		if g.Nodes[i].ID == id {
			return &g.Nodes[i]
		}
	}
	return nil
}

// add puts a node there unless it is; known says that it was.
func (g *Graph) add(n Node) (id string, known bool) {
	n.ID = n.Kind + ":" + n.Name
	for _, f := range n.Facts { // two datasets may share a name, and a spec is another one at another commit
		if n.Kind == KindDataset && (f.Name == "uri" || f.Name == "sha256") || n.Kind == KindTraining && f.Name == asOf {
			n.ID += " " + f.Value
		}
	}
	if g.Node(n.ID) != nil {
		return n.ID, true
	}
	g.Nodes = append(g.Nodes, n)
	return n.ID, false
}

func (g *Graph) edge(e Edge) {
	for _, have := range g.Edges {
		if have.From == e.From && have.To == e.To && have.Kind == e.Kind && e.Kind != EdgeServed {
			return
		}
	}
	g.Edges = append(g.Edges, e)
}

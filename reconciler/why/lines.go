package why

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
)

// maxContent bounds the files that are looked into: what renders is smaller.
const maxContent = 1 << 20

// changed finds the lines of a commit's change that make the difference: those without which it would not be there.
func (a *asker) changed(ctx context.Context, f *found) (lines []Line, err error) {
	parts, err := a.parts(ctx, f)
	if err != nil {
		return nil, err
	}
	var strong, weak []part
	for _, p := range parts {
		s, err := a.look(edited{f.after, map[string][]byte{p.path: p.without}})
		switch {
		case err != nil:
			return nil, err
		case s.fault != nil:
			weak = append(weak, p)
		case !s.same(f.is):
			strong = append(strong, p)
		}
	}
	if len(strong) == 0 { // each of several would do alone
		for _, p := range parts {
			s, err := a.look(edited{f.before, map[string][]byte{p.path: p.alone}})
			if err != nil {
				return nil, err
			}
			if s.same(f.is) {
				strong = append(strong, p)
			}
		}
	}
	switch { // what can't be taken away without a fault elsewhere, a file and who names it say, is part of it
	case len(strong) == 0 && len(weak) > 0:
		strong = weak
	case len(strong) == 0:
		strong = parts
	default:
		for _, p := range weak {
			if p.hunk == nil && !p.gone {
				strong = append(strong, p)
			}
		}
	}
	for _, p := range strong {
		more, err := a.linesOf(ctx, f, p)
		if err != nil {
			return nil, err
		}
		lines = append(lines, more...)
	}
	if said := slices.DeleteFunc(slices.Clone(lines), func(l Line) bool { return l.Number == 0 && !l.Gone }); len(said) > 0 {
		lines = said // a file that only has to be there says less
	}
	return a.ordered(lines), nil
}

// part is a piece of a change that can be taken away alone.
type part struct {
	path           string
	hunk           *hunk  // nil for a whole file
	without, alone []byte // the file after the change without it, and before the change with it
	gone           bool   // the file was removed
}

func (a *asker) parts(ctx context.Context, f *found) (all []part, err error) {
	paths, err := f.after.Changed(ctx, f.before)
	if err != nil {
		return nil, err
	}
	for _, p := range paths {
		if !touches(p, f.is.release, f.is.release == nil) && !touches(p, f.was.release, f.was.release == nil) {
			continue
		}
		old, err := content(f.before, p)
		if err != nil {
			return nil, err
		}
		new, err := content(f.after, p)
		if err != nil {
			return nil, err
		}
		if old == nil || new == nil {
			all = append(all, part{path: p, without: old, alone: new, gone: new == nil})
			continue
		}
		for _, h := range hunks(p, old, new) {
			all = append(all, part{path: p, hunk: &h, without: h.undo(new), alone: h.do(old)})
		}
	}
	return all, nil
}

// content is a file's; nil when there is none, or one too large to matter.
func content(fsys tree, name string) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (!info.Mode().IsRegular() || info.Size() > maxContent) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	data, err := fsys.ReadFile(name)
	if data == nil && err == nil {
		data = []byte{}
	}
	return data, err
}

// linesOf are the lines of a part that say it: the scalars among them that reach what is asked for, or else all.
func (a *asker) linesOf(ctx context.Context, f *found, p part) ([]Line, error) {
	if p.gone {
		return []Line{{Path: p.path, Gone: true, Commit: f.commit}}, nil
	}
	within := func(int) bool { return true }
	if p.hunk != nil {
		within = func(line int) bool { return line > p.hunk.new && line <= p.hunk.new+len(p.hunk.came) }
	}
	numbers, err := a.reaching(ctx, f.after, p.path, f.is, within)
	if err != nil {
		return nil, err
	}
	data, err := content(f.after, p.path)
	if err != nil {
		return nil, err
	}
	var lines []Line
	if len(numbers) == 0 && p.hunk != nil {
		for i, text := range p.hunk.came {
			if strings.TrimSpace(text) != "" {
				numbers = append(numbers, p.hunk.new+1+i)
			}
		}
		if len(numbers) == 0 {
			for i, text := range p.hunk.gone {
				if strings.TrimSpace(text) != "" {
					lines = append(lines, Line{Path: p.path, Number: p.hunk.old + 1 + i, Text: strings.TrimSpace(text), Gone: true, Commit: f.commit})
				}
			}
		}
	}
	if len(numbers) == 0 && p.hunk == nil {
		return []Line{{Path: p.path, Commit: f.commit}}, nil
	}
	now, err := content(a.tip, p.path)
	if err != nil {
		return nil, err
	}
	since := hunks(p.path, data, now)
	for _, n := range numbers {
		line := Line{Path: p.path, Number: n, Text: lineOf(data, n), Commit: f.commit}
		if at := forward(since, n); n > 0 && at > 0 {
			line.Number = at
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func lineOf(data []byte, number int) string {
	i := 0
	for line := range strings.Lines(string(data)) {
		if i++; i == number {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// ordered sorts by place and says nothing twice.
func (a *asker) ordered(lines []Line) []Line {
	slices.SortStableFunc(lines, func(x, y Line) int {
		if c := strings.Compare(x.Path, y.Path); c != 0 {
			return c
		}
		return x.Number - y.Number
	})
	return slices.CompactFunc(lines, func(x, y Line) bool { return x.Path == y.Path && x.Number == y.Number && x.Text == y.Text })
}

package fleet

// part is what a page shows of a list: from a place on, and at most MostLines. Both numbers come from outside.
func part[T any](all []T, from, limit int) []T {
	all = all[min(max(from, 0), len(all)):]
	return all[:min(max(limit, 0), MostLines, len(all))]
}

package gitops
import ("testing";"sync";"fmt";"context";"time")
func TestZZ(t *testing.T) {
	dir := "/tmp/fleet-teams"
	for _, workers := range []int{1,2,4} {
		start := time.Now()
		s, err := Open(context.Background(), Config{URL: dir})
		if err != nil { t.Fatal(err) }
		h, _ := s.Tip(t.Context())
		snap, _ := s.Snapshot(t.Context(), h)
		fmt.Println("open+tip+snap", time.Since(start))
		start = time.Now()
		names := make(chan string, 100)
		var wg sync.WaitGroup
		for range workers { wg.Go(func(){ for n := range names { if _, err := snap.ReadFile(n); err != nil { t.Error(err) } } }) }
		walkT(t, snap, func(n string){ names <- n })
		close(names); wg.Wait()
		fmt.Println(workers, "read all", time.Since(start))
		start = time.Now()
		n := 0
		s.FirstParents(t.Context(), h, func(Commit, []string) (bool, error) { n++; return n < 300, nil })
		fmt.Println("firstparents", n, time.Since(start))
		s.Close()
	}
}

package cluster_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/davit-dev/davit/reconciler/cluster"
)

// TestRunRecord: of many that claim at once one makes the record, no change of it is lost, and another owner's is left alone.
func TestRunRecord(t *testing.T) {
	_, ns := open(t)
	who := func(owner string, takeOver bool) *cluster.Cluster {
		return reopen(t, ns, func(cfg *cluster.Config) { cfg.Owner, cfg.TakeOver = owner, takeOver })
	}
	c := who("here", false)
	hash := strings.Repeat("0a", 32)
	const many = 8
	var claimed atomic.Int32
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			there, mine, err := c.ClaimRunRecord(t.Context(), cluster.RunRecord{Namespace: ns, Hash: hash, Data: []byte("0")})
			if err != nil || string(there.Data) == "" || there.Owner != "here" {
				t.Errorf("%d: %+v, %v", i, there, err)
			}
			if mine {
				claimed.Add(1)
			}
			for range 5 {
				_, err := c.ChangeRunRecord(t.Context(), ns, hash, func(now []byte) ([]byte, error) {
					n, err := strconv.Atoi(string(now))
					return fmt.Append(nil, n+1), err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := claimed.Load(); n != 1 {
		t.Errorf("%d claimed it", n)
	}
	records, err := c.RunRecords(t.Context(), ns)
	if err != nil || len(records) != 1 || string(records[0].Data) != strconv.Itoa(many*5) || records[0].Hash != hash[:40] {
		t.Fatalf("%+v, %v", records, err)
	}

	no := errors.New("no")
	if there, err := c.ChangeRunRecord(t.Context(), ns, hash, func([]byte) ([]byte, error) { return nil, no }); !errors.Is(err, no) || string(there.Data) != "40" {
		t.Errorf("%+v, %v", there, err)
	}
	other := who("there", false)
	if _, mine, err := other.ClaimRunRecord(t.Context(), cluster.RunRecord{Namespace: ns, Hash: hash, Data: []byte("0")}); mine || !errors.As(err, new(*cluster.ErrOtherOwner)) {
		t.Errorf("another owner claimed it: %v, %v", mine, err)
	}
	taking := who("there", true)
	if there, mine, err := taking.ClaimRunRecord(t.Context(), cluster.RunRecord{Namespace: ns, Hash: hash, Data: []byte("0")}); mine || err != nil || there.Owner != "there" || string(there.Data) != "40" {
		t.Errorf("taken over: %+v, %v, %v", there, mine, err)
	}
}

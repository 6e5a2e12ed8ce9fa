package main

import (
	"net/http"
	"strings"
	"testing"
)

// TestLifeByRule lets rules promote on a real Gitea, between the environments of two controllers: production's reads how
// staging's release is from the cluster, opens a pull request with the plan, and merges it by the forge's API, which holds
// it against the branch's protection.
func TestLifeByRule(t *testing.T) {
	t.Parallel()
	l := newLife(t, lifeConfig{})
	l.until("both are healthy at v1", func() bool { return l.healthy("staging", "v1") && l.healthy("production", "v1") })
	l.edit("environments/production/environment.yaml", "spec:\n", "spec:\n  autoMerge: true\n  promote: {from: staging, healthyFor: 1s, merge: auto}\n")
	l.edit("releases/iris/staging.yaml", "version: v1", "version: v2")
	protection := map[string]any{"rule_name": "main", "enable_push": true, "required_approvals": 1, "block_admin_merge_override": true}
	l.api(http.MethodPost, "/repos"+lifeRepository+"/branch_protections", protection, nil)
	l.run("git commit -qam 'v2 in staging, and production follows by a rule' && git push -q")
	l.until("v2 is proposed", func() bool { return l.pull(1).Head.Ref == "davit/promote/production/iris" })
	l.until("the status names it", func() bool {
		return l.field("production", ".status.promotion.version}/{.status.promotion.where") == "v2/"+l.dev.Forge+lifeRepository+"/pulls/1"
	})
	var pr struct{ Title, Body string }
	l.api(http.MethodGet, "/repos"+lifeRepository+"/pulls/1", nil, &pr)
	if pr.Title != "Promote production/iris to v2" || !strings.Contains(pr.Body, "healthy in staging since ") || !strings.Contains(pr.Body, "accuracy") {
		t.Errorf("%s\n%s", pr.Title, pr.Body)
	}
	l.until("people are told that the forge refuses", func() bool { return strings.Contains(l.comments(1), "the forge refuses") })
	l.until("the status tells it too", func() bool {
		text := l.run("davit status production/iris")
		return strings.Contains(text, "/pulls/1") && strings.Contains(text, "the forge refuses")
	})
	l.api(http.MethodDelete, "/repos"+lifeRepository+"/branch_protections/main", nil, nil)
	l.until("v2 is merged, and healthy", func() bool { return l.healthy("production", "v2") })
	l.until("the branch is gone", func() bool { return l.run("git ls-remote origin davit/promote/production/iris") == "" })
	l.until("the status names nothing", func() bool { return l.field("production", ".status.promotion.version") == "" })
	l.run("git pull -q")
	if text := l.run("git log -1 --format=%B"); !strings.Contains(text, "Davit-Promotes: iris@v2\nDavit-From: staging\nDavit-Merged-By-Rule: auto") {
		t.Errorf("the commit says\n%s", text)
	}
	if text := l.run("davit history production/iris"); !strings.Contains(text, "davit, by rule from staging, "+l.dev.Forge+lifeRepository+"/pulls/1") {
		t.Errorf("history:\n%s", text)
	}

	// A person closes the next one: it is not proposed again.
	l.edit("releases/iris/production.yaml", "  version: v2\n", "  version: v2\n\n  promote: {from: staging}\n")
	l.run("mkdir models/iris/files/v4 && sed 's/.$/x/' models/iris/files/v2/model.safetensors > models/iris/files/v4/model.safetensors")
	l.run("davit add iris v4 models/iris/files/v4/model.safetensors")
	l.edit("releases/iris/staging.yaml", "version: v2", "version: v4")
	l.run("git add -A && git commit -qm 'v4 in staging, and production is reviewed' && git push -q")
	l.until("v4 is proposed", func() bool { return l.pull(2).Head.Ref == "davit/promote/production/iris" })
	l.api(http.MethodPatch, "/repos"+lifeRepository+"/pulls/2", map[string]any{"state": "closed"}, nil)
	l.run("git commit -q --allow-empty -m 'a push' && sed -i 's/replicas: 1/replicas: 1 # one/' releases/iris/serving.yaml && git commit -qam 'another' && git push -q")
	l.until("it is declined", func() bool { return l.field("production", ".status.promotion.declined") == "true" })
	l.until("its branch is gone", func() bool { return l.run("git ls-remote origin davit/promote/production/iris") == "" })
	if l.pull(3).Head.Ref != "" {
		t.Error("it was proposed again")
	}
}

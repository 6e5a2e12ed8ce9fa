package devcluster

import (
	"encoding/json"
	"testing"
)

func TestImageUser(t *testing.T) {
	files := map[string][]byte{"/davit": []byte("program")}
	for _, user := range []string{"", "65532"} {
		image, err := NewImageAs(user, files, "/davit")
		if err != nil {
			t.Fatal(err)
		}
		var config struct {
			Config struct {
				User       string
				Entrypoint []string
			} `json:"config"`
		}
		if err := json.Unmarshal(image.config, &config); err != nil {
			t.Fatal(err)
		}
		if config.Config.User != user || len(config.Config.Entrypoint) != 1 || config.Config.Entrypoint[0] != "/davit" {
			t.Errorf("as %q: %+v", user, config.Config)
		}
		plain, err := NewImage(files, "/davit")
		if err != nil {
			t.Fatal(err)
		}
		if same := plain.Digest() == image.Digest(); same != (user == "") {
			t.Errorf("as %q: the digest is that of root's: %v", user, same)
		}
	}
}

package auth

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// A member that appears twice is found wherever both stand, among few and among
// many.
func TestMemberTwice(t *testing.T) {
	for _, n := range []int{2, few, few + 1, few + 2, 3 * few} {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf(`"m%d":%d`, i, i)
		}
		doc := func(names []string) []byte { return []byte("{" + strings.Join(names, ",") + "}") }
		members, err := parseObject(doc(names))
		if err != nil || len(members) != n {
			t.Fatalf("%d members: %d, %v", n, len(members), err)
		}
		last := fmt.Sprint(n - 1)
		if value, found := members.get("m" + last); !found || value != last {
			t.Errorf("%d members: the last is %q", n, value)
		}
		for i := range n {
			if _, err := parseObject(doc(append(names[:n:n], names[i]))); !errors.Is(err, errTwice) {
				t.Errorf("member %d of %d again: %v", i, n, err)
			}
		}
	}
}

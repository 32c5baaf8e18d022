package interop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// artifacts is where screenshots go, for people to look at.
const artifacts = "artifacts"

// chrome is a browser with a profile of its own. It reaches 127.0.0.1 and
// nothing else.
type chrome struct {
	t   *testing.T
	ctx context.Context
}

func openChromium(t *testing.T) *chrome {
	t.Helper()
	path, err := chromium()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.WindowSize(1000, 600),
		chromedp.WSURLReadTimeout(patience),
		chromedp.NoSandbox, // CI is root in a container
		chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	)...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(t.Logf))
	t.Cleanup(cancel)
	c := &chrome{t, ctx}
	c.do(chromedp.Steps()) // starts it
	// What a page loads, and what the browser has to say of it: a policy that
	// is violated, a file that is missing.
	err = chromedp.Listen(ctx, func(event any) {
		switch event := event.(type) {
		case *network.EventRequestWillBeSent:
			if url := event.Request.URL; !strings.HasPrefix(url, "http://127.0.0.1:") {
				t.Errorf("a page loads %s", url)
			}
		case *log.EventEntryAdded:
			t.Errorf("the browser says: %s %s", event.Entry.Text, event.Entry.URL)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *chrome) do(steps ...chromedp.Action[chromedp.Void]) {
	c.t.Helper()
	if err := chromedp.Do(c.ctx, steps...); err != nil {
		c.t.Fatal(err)
	}
}

// loads does what leads to another page, and waits for that.
func (c *chrome) loads(step chromedp.Action[chromedp.Void]) {
	c.t.Helper()
	response, err := chromedp.RunResponse(c.ctx, step)
	if err != nil {
		c.t.Fatalf("no page: %v", err)
	}
	if response.Status != 200 {
		c.t.Fatalf("%s: HTTP %d: %s", response.URL, response.Status, c.text())
	}
}

func (c *chrome) opens(address string) {
	c.t.Helper()
	c.loads(chromedp.Navigate(address))
}

// clicks on the button whose text begins so.
func (c *chrome) clicks(button string) {
	c.t.Helper()
	c.sees(button)
	c.loads(chromedp.Click(chromedp.Search(fmt.Sprintf("//button[starts-with(normalize-space(), '%s')]", button)), chromedp.NodeVisible))
}

// enters goes to a button by the Tab key alone, as far as it takes, sees that the
// button shows it, and presses Enter.
func (c *chrome) enters(button string) {
	c.t.Helper()
	const far = 10
	for range far {
		c.do(chromedp.KeyEvent(kb.Tab))
		if strings.HasPrefix(evaluate[string](c, `document.activeElement.innerText ?? ""`), button) {
			if !evaluate[bool](c, `(() => {
				const style = getComputedStyle(document.activeElement);
				return document.activeElement.matches(":focus-visible") &&
					(style.outlineStyle != "none" && style.outlineWidth != "0px" || style.boxShadow != "none");
			})()`) {
				c.t.Errorf("button %q shows no focus", button)
			}
			c.picture("focus-on-" + strings.ReplaceAll(strings.ToLower(button), " ", "-"))
			c.loads(chromedp.KeyEvent(kb.Enter))
			return
		}
	}
	c.t.Fatalf("button %q is not within %d steps of the Tab key: %s", button, far, c.text())
}

// types into the field that the page gives the focus, which it does with the
// first frame that is drawn after it has loaded.
func (c *chrome) types(text string) {
	c.t.Helper()
	evaluate[bool](c, `new Promise(done => {
		const look = () => document.activeElement.matches("input") ? done(true) : requestAnimationFrame(look);
		look();
	})`, chromedp.EvalAwaitPromise)
	c.do(chromedp.KeyEvent(text))
	if typed := evaluate[string](c, "document.activeElement.value"); typed != text {
		c.t.Fatalf("typed %q, the field has %q", text, typed)
	}
}

// sees fails the test unless the page shows this text.
func (c *chrome) sees(text string) {
	c.t.Helper()
	if page := c.text(); !strings.Contains(page, text) {
		c.t.Fatalf("no %q on the page: %s", text, page)
	}
}

func (c *chrome) text() string {
	c.t.Helper()
	return strings.Join(strings.Fields(evaluate[string](c, "document.body.innerText")), " ")
}

// shoots keeps a picture of the page, and of how it looks on a phone, where
// nothing may stick out.
func (c *chrome) shoots(name string) {
	c.t.Helper()
	const phone = 360
	c.do(chromedp.EmulateViewport(phone, 640))
	if width := evaluate[int](c, "document.documentElement.scrollWidth"); width > phone {
		c.t.Errorf("%s: %d pixels wide on a phone of %d", name, width, phone)
	}
	c.picture(name + "-phone")
	c.do(chromedp.EmulateViewport(1000, 600))
	c.picture(name)
}

func (c *chrome) picture(name string) {
	c.t.Helper()
	image, err := chromedp.Run(c.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		c.t.Fatal(err)
	}
	if err := os.MkdirAll(artifacts, 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(artifacts, name+".png"), image, 0o644); err != nil {
		c.t.Fatal(err)
	}
}

func evaluate[T any](c *chrome, expression string, options ...chromedp.EvaluateOption) T {
	c.t.Helper()
	value, err := chromedp.Run(c.ctx, chromedp.Evaluate[T](expression, options...))
	if err != nil {
		c.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

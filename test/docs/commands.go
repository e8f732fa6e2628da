package docs

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// Command is one call of a program, in a block or in a line of text.
type Command struct {
	File  string
	Line  int
	Story string // of its block, or empty
	// Text is the statement that holds the call, with its redirections and the rest of its pipe, as a shell takes it.
	Text string
	// Args are the program and its arguments, without quotes; what a shell would expand stands as it is written.
	Args []string
	// Inline: it stands in a line of text. Such a one may only name a program and its verb.
	Inline bool
}

// String says where the command is.
func (c Command) String() string {
	return fmt.Sprintf("%s:%d: %s", c.File, c.Line, strings.Join(c.Args, " "))
}

// placeholders are what a reader puts in place of a name in angle brackets.
var placeholders = strings.NewReplacer(
	"<pair>", "shop", "<member>", "shop-1", "<passive>", "shop-1", "<namespace>", "default", "<node>", "node-1",
	"<operation>", "shop-failover-8", "<schema>.<table>", "app.orders", "<digest>", "0a1b", "<tag>", "v0.2.0", "<version>", "0.2.0",
	"<release>", "dbpair", "\\|", "|")

// inline is a span of code outside of blocks that begins with a program which readers type.
var inline = regexp.MustCompile("`((?:kubectl|helm|make|docker|oc|sudo|hack/[a-z-]+\\.sh) [^`]+)`")

// Commands are all commands of the documents of a repository: those of the blocks in the language sh or console, and
// those that begin a span of code.
func Commands(root string) ([]Command, error) {
	blocks, err := Blocks(root)
	if err != nil {
		return nil, err
	}
	var out []Command
	for _, b := range blocks {
		if b.Language != "sh" && b.Language != "console" {
			continue
		}
		found, err := commandsOf(b.Text, Command{File: b.File, Line: b.Line + 1, Story: b.Story})
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	var failed error
	err = eachDocument(root, func(file, text string) {
		// Blocks become blank lines, so that the numbers of the lines stay.
		text = fence.ReplaceAllStringFunc(text, func(block string) string { return strings.Repeat("\n", strings.Count(block, "\n")) })
		for _, at := range inline.FindAllStringSubmatchIndex(text, -1) {
			where := Command{File: file, Line: strings.Count(text[:at[0]], "\n") + 1, Inline: true}
			found, err := commandsOf(strings.Join(strings.Fields(text[at[2]:at[3]]), " "), where)
			if err != nil {
				failed = err
				return
			}
			out = append(out, found...)
		}
	})
	if err == nil {
		err = failed
	}
	return out, err
}

// commandsOf are the calls in a script, those in pipes and in substitutions too.
func commandsOf(script string, where Command) ([]Command, error) {
	file, err := syntax.NewParser().Parse(strings.NewReader(placeholders.Replace(script)), "")
	if err != nil {
		return nil, fmt.Errorf("%s:%d: a shell does not take it: %w", where.File, where.Line, err)
	}
	var out []Command
	var statement *syntax.Stmt
	for _, statement = range file.Stmts {
		text := printed(statement)
		syntax.Walk(statement, func(node syntax.Node) bool {
			call, is := node.(*syntax.CallExpr)
			if !is || len(call.Args) == 0 {
				return true
			}
			c := where
			c.Line += int(call.Pos().Line()) - 1
			c.Text = text
			for _, word := range call.Args {
				c.Args = append(c.Args, unquoted(word))
			}
			out = append(out, c)
			return true
		})
	}
	return out, nil
}

// unquoted is a word without its quotes, or as it is written where a shell would have to expand it.
func unquoted(word *syntax.Word) string {
	if plain, err := expand.Literal(nil, word); err == nil && !expands(word) {
		return plain
	}
	return strings.Trim(printed(word), `"`)
}

// expands: it has a variable or a substitution, whose value is not known here.
func expands(word *syntax.Word) bool {
	found := false
	syntax.Walk(word, func(node syntax.Node) bool {
		switch node.(type) {
		case *syntax.ParamExp, *syntax.CmdSubst:
			found = true
		}
		return true
	})
	return found
}

func printed(node syntax.Node) string {
	var b bytes.Buffer
	if err := syntax.NewPrinter().Print(&b, node); err != nil {
		return err.Error() // of a buffer: it has none
	}
	return b.String()
}

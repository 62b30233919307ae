// Command dockerfacts prints, as JSON, how Docker's own code reads our files: it is run by the tests of the package two
// folders up. It is a module of its own, so that what it needs (Compose, BuildKit) is not among the requirements of the
// product.
//
//	dockerfacts compose FILE DIR          the project, as "docker compose config" has it; relative paths start at DIR
//	dockerfacts dockerfile FILE           its instructions
//	dockerfacts context DIR IGNOREFILE    the files of DIR that are sent to a build
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

func main() {
	facts, err := factsOf(append(os.Args[1:], "", "", "")[:3])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(facts)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func factsOf(args []string) (any, error) {
	switch args[0] {
	case "compose":
		return compose(args[1], args[2])
	case "dockerfile":
		return dockerfile(args[1])
	case "context":
		return buildContext(args[1], args[2])
	}
	return nil, fmt.Errorf("unknown question %q", args[0])
}

func compose(file, dir string) (any, error) {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithWorkingDirectory(dir), cli.WithoutEnvironmentResolution)
	if err != nil {
		return nil, err
	}
	return options.LoadProject(context.Background())
}

type instruction struct {
	Name  string   // in lower case
	Args  []string // of the exec form one each, else the whole text
	Flags []string // "--from=build"
}

func dockerfile(file string) (all []instruction, err error) {
	text, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer text.Close()
	parsed, err := parser.Parse(text)
	if err != nil {
		return nil, err
	}
	for _, node := range parsed.AST.Children {
		i := instruction{Name: strings.ToLower(node.Value), Flags: node.Flags}
		for arg := node.Next; arg != nil; arg = arg.Next {
			i.Args = append(i.Args, arg.Value)
		}
		all = append(all, i)
	}
	return all, nil
}

func buildContext(dir, ignoreFile string) (names []string, err error) {
	file, err := os.Open(ignoreFile)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	patterns, err := ignorefile.ReadAll(file)
	if err != nil {
		return nil, err
	}
	ignored, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		name, relErr := filepath.Rel(dir, path)
		if err = errors.Join(err, relErr); err != nil || name == "." {
			return err
		}
		out, err := ignored.MatchesOrParentMatches(name)
		switch {
		case err != nil:
			return err
		case out && entry.IsDir() && !strings.Contains(name, string(filepath.Separator)):
			return fs.SkipDir // no pattern lets through what is deeper in such a folder
		case !out && !entry.IsDir():
			names = append(names, name)
		}
		return nil
	})
	return names, err
}

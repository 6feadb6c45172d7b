// verify_log checks a tiled transparency log with Google's own code: golang.org/x/mod, sumdb/note and sumdb/tlog.
//
//	verify_log URL VKEY [OLD-CHECKPOINT-FILE PROOF-FILE]
//
// It fetches the checkpoint, verifies its signature, authenticates every leaf hash of the log from tiles against
// the signed root, and compares every entry with its leaf hash. Given an older checkpoint, it proves that the log
// has grown from it; given a C2SP tlog-proof, it checks that as well. It prints the size, or says what is wrong.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

var base string

func fetch(path string) ([]byte, error) {
	answer, err := http.Get(base + "/" + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d", path, answer.StatusCode)
	}
	return io.ReadAll(answer.Body)
}

// tilePath turns the path of sumdb, tile/HEIGHT/LEVEL/N, into that of C2SP: tile/LEVEL/N.
func tilePath(tile tlog.Tile) string {
	return "tile/" + strings.TrimPrefix(tile.Path(), "tile/8/")
}

type reader struct{}

func (reader) Height() int { return 8 }

func (reader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range tiles {
		content, err := fetch(tilePath(tile))
		if err != nil {
			return nil, err
		}
		data = append(data, content)
	}
	return data, nil
}

func (reader) SaveTiles([]tlog.Tile, [][]byte) {}

// open verifies a checkpoint and returns its tree.
func open(signed []byte, vkey string) tlog.Tree {
	verifier, err := note.NewVerifier(vkey)
	check(err)
	opened, err := note.Open(signed, note.VerifierList(verifier))
	check(err)
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		log.Fatalf("not a checkpoint of %s: %q", verifier.Name(), opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	hash, err := tlog.ParseHash(lines[2])
	check(err)
	return tlog.Tree{N: size, Hash: hash}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	log.SetFlags(0)
	base = os.Args[1]
	vkey := os.Args[2]
	signed, err := fetch("checkpoint")
	check(err)
	tree := open(signed, vkey)
	hashes := tlog.TileHashReader(tree, reader{})
	for start := int64(0); start < tree.N; start += 256 {
		width := tree.N - start
		if width > 256 {
			width = 256
		}
		tile := tlog.Tile{H: 8, L: 0, N: start / 256, W: int(width)}
		bundle, err := fetch(strings.Replace(tilePath(tile), "tile/0/", "tile/entries/", 1))
		check(err)
		var indexes []int64
		for i := start; i < start+width; i++ {
			indexes = append(indexes, tlog.StoredHashIndex(0, i))
		}
		authenticated, err := hashes.ReadHashes(indexes)
		check(err)
		for i, expected := range authenticated {
			length := binary.BigEndian.Uint16(bundle)
			if tlog.RecordHash(bundle[2:2+length]) != expected {
				log.Fatalf("entry %d is not the one in the tree", start+int64(i))
			}
			bundle = bundle[2+length:]
		}
		if len(bundle) > 0 {
			log.Fatalf("bundle at %d: bytes left over", start)
		}
	}
	if len(os.Args) > 3 {
		older, err := os.ReadFile(os.Args[3])
		check(err)
		old := open(older, vkey)
		proof, err := tlog.ProveTree(tree.N, old.N, hashes)
		check(err)
		check(tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash))
		text, err := os.ReadFile(os.Args[4])
		check(err)
		checkProof(string(text), vkey, hashes)
	}
	fmt.Println(tree.N)
}

// checkProof checks a tlog-proof whose entry is authenticated from the tiles.
func checkProof(text, vkey string, hashes tlog.HashReader) {
	head, signed, found := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	if !found || lines[0] != "c2sp.org/tlog-proof@v1" {
		log.Fatal("not a proof")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	check(err)
	var proof tlog.RecordProof
	for _, line := range lines[2:] {
		raw, err := base64.StdEncoding.DecodeString(line)
		check(err)
		var hash tlog.Hash
		copy(hash[:], raw)
		proof = append(proof, hash)
	}
	tree := open([]byte(signed), vkey)
	leaf, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
	check(err)
	check(tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf[0]))
}

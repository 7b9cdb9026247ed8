// Answers each request with what Go's server has read of it: JSON, in hexadecimal digits, in the field X-Reading.
// Listens on the Unix socket that its argument names.
package main

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
)

type reading struct {
	Method string      `json:"method"`
	Target string      `json:"target"`
	Host   string      `json:"host"`
	Fields [][2]string `json:"fields"`
	Body   string      `json:"body"`
}

// One letter for each byte, as the other readers have it.
func latin1(bytes string) string {
	letters := make([]rune, len(bytes))
	for at := range len(bytes) {
		letters[at] = rune(bytes[at])
	}
	return string(letters)
}

func answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		// It did not come to its end: there is nothing to answer.
		panic(http.ErrAbortHandler)
	}
	read := reading{r.Method, latin1(r.RequestURI), latin1(r.Host), [][2]string{}, hex.EncodeToString(body)}
	for name, values := range r.Header {
		for _, value := range values {
			read.Fields = append(read.Fields, [2]string{strings.ToLower(name), latin1(value)})
		}
	}
	// The server takes it out of the header.
	for _, encoding := range r.TransferEncoding {
		read.Fields = append(read.Fields, [2]string{"transfer-encoding", encoding})
	}
	text, err := json.Marshal(read)
	if err != nil {
		log.Fatal(err)
	}
	w.Header().Set("X-Reading", hex.EncodeToString(text))
}

func main() {
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Handler:                      http.HandlerFunc(answer),
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     log.New(io.Discard, "", 0),
	}
	log.Fatal(server.Serve(listener))
}

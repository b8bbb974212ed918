// The baseline in Go: gauges of the client library, served by promhttp.
//
// "main PORT SERIES" serves a file of series, with one JSON value per line: an object starts a family (name, help,
// labels), an array is a series (its value, then the values of its labels). All values are set before the first scrape,
// so that a scrape costs only what the library does.
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

type family struct {
	Name   string   `json:"name"`
	Help   string   `json:"help"`
	Labels []string `json:"labels"`
}

func load(path string, registry *prometheus.Registry) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	var current *prometheus.GaugeVec
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 1<<20), 1<<20)
	for lines.Scan() {
		line := lines.Bytes()
		if line[0] == '{' {
			var read family
			if err := json.Unmarshal(line, &read); err != nil {
				return err
			}
			options := prometheus.GaugeOpts{Name: read.Name, Help: read.Help}
			current = prometheus.NewGaugeVec(options, read.Labels)
			registry.MustRegister(current)
			continue
		}
		var read []interface{}
		if err := json.Unmarshal(line, &read); err != nil {
			return err
		}
		labels := make([]string, len(read)-1)
		for position, label := range read[1:] {
			labels[position] = label.(string)
		}
		current.WithLabelValues(labels...).Set(read[0].(float64))
	}
	return lines.Err()
}

func main() {
	registry := prometheus.NewRegistry()
	if err := load(os.Args[2], registry); err != nil {
		log.Fatal(err)
	}
	options := promhttp.HandlerOpts{EnableOpenMetrics: true}
	http.Handle("/metrics", promhttp.HandlerFor(registry, options))
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}

// Stands for the code editor that Grafana's components bring along, which no picture shows.
'use strict';

module.exports = { loader: { config() {} } };

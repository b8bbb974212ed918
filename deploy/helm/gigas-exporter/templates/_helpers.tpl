{{- define "gigas-exporter.fullname" -}}
{{- $name := default .Release.Name .Values.fullnameOverride | replace "." "-" | trunc 52 | trimSuffix "-" -}}
{{- if or (not (regexMatch "^[a-z]" $name)) (ne (toYaml $name) $name) -}}
{{- $why := "%s %q cannot name a Service (it must begin with a letter and be no YAML word such as true)" -}}
{{- with .Values.fullnameOverride -}}
{{- fail (printf $why "fullnameOverride:" .) -}}
{{- end -}}
{{- fail (printf (print $why "; set fullnameOverride") "the release name" .Release.Name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- define "gigas-exporter.selectorLabels" -}}
app.kubernetes.io/name: gigas-exporter
app.kubernetes.io/instance: {{ toYaml .Release.Name }}
{{- end -}}

{{- define "gigas-exporter.labels" -}}
{{ include "gigas-exporter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: gigas-exporter
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "gigas-exporter.secretName" -}}
{{- default (include "gigas-exporter.fullname" .) .Values.secret.existingSecret | toYaml -}}
{{- end -}}

{{- define "gigas-exporter.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default .Chart.AppVersion $image.tag }}
{{- end -}}
{{- end -}}

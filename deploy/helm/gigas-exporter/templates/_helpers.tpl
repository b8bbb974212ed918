{{- define "gigas-exporter.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "gigas-exporter.selectorLabels" -}}
app.kubernetes.io/name: gigas-exporter
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "gigas-exporter.labels" -}}
{{ include "gigas-exporter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: gigas-exporter
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "gigas-exporter.secretName" -}}
{{- default (include "gigas-exporter.fullname" .) .Values.secret.existingSecret -}}
{{- end -}}

{{- define "gigas-exporter.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default .Chart.AppVersion $image.tag }}
{{- end -}}
{{- end -}}

{{/* Names and labels. There is one Rouse in a cluster, so the release's name is in none of them. */}}

{{- define "rouse.fullname" -}}
{{ .Values.fullnameOverride | default "rouse" }}
{{- end }}

{{/* One of Rouse's programs, and all objects of its own: (list $ "operator"). */}}
{{- define "rouse.component" -}}
{{ include "rouse.fullname" (first .) }}-{{ last . }}
{{- end }}

{{/* The user that a program's requests come from: (list $ "operator"). */}}
{{- define "rouse.user" -}}
system:serviceaccount:{{ (first .).Release.Namespace }}:{{ include "rouse.component" . }}
{{- end }}

{{/* What selects Rouse's pods. */}}
{{- define "rouse.selector" -}}
app.kubernetes.io/name: rouse
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "rouse.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "rouse.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* The same for the objects of one program: (list $ "operator"). */}}
{{- define "rouse.componentSelector" -}}
{{ include "rouse.selector" (first .) }}
app.kubernetes.io/component: {{ last . }}
{{- end }}

{{- define "rouse.componentLabels" -}}
{{ include "rouse.labels" (first .) }}
app.kubernetes.io/component: {{ last . }}
{{- end }}

{{/* What runs source, as the operator reads it. */}}
{{- define "rouse.runtimes" -}}
{{- $runtimes := dict }}
{{- range $name, $runtime := .Values.runtimes }}
{{- if not (kindIs "invalid" $runtime) }}
{{- if not (or $runtime.image (has $name (list "python" "node"))) }}
{{- fail (printf "runtimes.%s.image must be set: only the images of python and node come with Rouse" $name) }}
{{- end }}
{{- $own := include "rouse.image" (list $ (dict "repository" (printf "runtime-%s" $name))) }}
{{- $resources := dict }}
{{- range $what, $amount := $runtime.resources }}
{{- /* A bare number is an amount, too. */}}
{{- $_ := set $resources $what (toString $amount) }}
{{- end }}
{{- $_ := set $runtimes $name (dict "image" ($runtime.image | default $own) "resources" $resources "env" ($runtime.env | default dict)) }}
{{- end }}
{{- end }}
{{- /* Kubernetes would look for variables in it: `$$(` is what it makes `$(` of. */}}
{{- toJson $runtimes | replace "$(" "$$(" }}
{{- end }}

{{/* Reference of an image: (list $ .Values.operator.image). */}}
{{- define "rouse.image" -}}
{{- $values := (first .).Values }}
{{- $image := last . }}
{{- $name := printf "%s/%s" $values.image.registry $image.repository }}
{{- if $image.digest }}
{{- printf "%s@%s" $name $image.digest }}
{{- else }}
{{- printf "%s:%s" $name (coalesce $image.tag $values.image.tag (first .).Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/* What the pods of both programs have in common. */}}

{{/* Labels and annotations: (list $ "operator"). Ours go before the user's. No version is in them, so that an upgrade that changes
nothing about a pod restarts none. */}}
{{- define "rouse.podMetadata" -}}
{{- $values := get (first .).Values (last .) }}
{{- with $values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
labels:
  {{- toYaml (merge (include "rouse.componentSelector" . | fromYaml) $values.podLabels) | nindent 2 }}
{{- end }}

{{/* The "restricted" Pod Security level. fsGroup lets the user read the projected token. */}}
{{- define "rouse.podSecurity" -}}
runAsNonRoot: true
{{- with .Values.runAsUser }}
runAsUser: {{ int64 . }}
runAsGroup: {{ int64 . }}
fsGroup: {{ int64 . }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "rouse.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Environment that both programs read. */}}
{{- define "rouse.env" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_UID
  valueFrom:
    fieldRef:
      fieldPath: metadata.uid
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: ROUSE_DOMAIN
  value: {{ .Values.domain | quote }}
- name: ROUSE_CLUSTER_DOMAIN
  value: {{ .Values.clusterDomain | quote }}
- name: ROUSE_UNSCHEDULABLE_SECONDS
  value: {{ int64 .Values.scaling.unschedulableSeconds | quote }}
- name: ROUSE_ADMIN_PORT
  value: "9090"
- name: ROUSE_LOG
  value: {{ .Values.log.filter | quote }}
- name: ROUSE_LOG_FORMAT
  value: {{ .Values.log.format | quote }}
# The allocator leaves huge pages alone: with them an idle process keeps megabytes that it does not use.
- name: MIMALLOC_ALLOW_THP
  value: "0"
{{- end }}

{{/* Health, as both programs answer it. Readiness is asked often: it is what a rollout and `helm --wait` wait for. */}}
{{- define "rouse.probes" -}}
readinessProbe:
  httpGet:
    path: /readyz
    port: admin
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
livenessProbe:
  httpGet:
    path: /healthz
    port: admin
  initialDelaySeconds: 10
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end }}

{{/* Where the pods go: (list $ "operator"). */}}
{{- define "rouse.placement" -}}
{{- $values := get (first .).Values (last .) }}
{{- with (first .).Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if kindIs "slice" $values.topologySpreadConstraints }}
{{- with $values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- else }}
topologySpreadConstraints:
  - topologyKey: kubernetes.io/hostname
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "rouse.componentSelector" . | nindent 8 }}
    # Only pods of one ReplicaSet count, so that a rollout spreads its own pods.
    matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}

{{/* A node drain takes one replica at a time, and one that is broken at any time: (list $ "operator"). */}}
{{- define "rouse.budget" -}}
{{- $values := get (first .).Values (last .) }}
{{- if and $values.podDisruptionBudget (gt (int $values.replicas) 1) }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "rouse.component" . }}
  namespace: {{ (first .).Release.Namespace }}
  labels:
    {{- include "rouse.componentLabels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "rouse.componentSelector" . | nindent 6 }}
{{- end }}
{{- end }}

{{/* Puts a policy in force, in all namespaces: (list $ "scale"). */}}
{{- define "rouse.binding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ include "rouse.component" . }}
  labels:
    {{- include "rouse.labels" (first .) | nindent 4 }}
spec:
  policyName: {{ include "rouse.component" . }}
  validationActions: [Deny]
{{- end }}

{{- define "postern.labels" -}}
{{ include "postern.selector" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: postern
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* One operator in a namespace: its names are fixed, and so the release's name is no part of a selector. */ -}}
{{- define "postern.selector" -}}
app.kubernetes.io/name: postern
app.kubernetes.io/component: operator
{{- end }}

{{- /* Labels of ours and further ones, a list of both; ours count. */ -}}
{{- define "postern.merged" -}}
{{- mergeOverwrite (dict) (index . 1) (index . 0 | fromYaml) | toYaml }}
{{- end }}

{{- define "postern.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- /* What Pod Security "restricted" asks for, and a root that nobody writes to. */ -}}
{{- define "postern.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
readOnlyRootFilesystem: true
{{- end }}

{{- define "postern.subject" -}}
- kind: ServiceAccount
  name: postern-operator
  namespace: {{ .Release.Namespace | quote }}
{{- end }}

{{- /* CEL: is the caller in one of the groups? */ -}}
{{- define "postern.member" -}}
has(request.userInfo.groups) && request.userInfo.groups.exists(group, group in {{ toJson . }})
{{- end }}

{{- define "postern.testLabels" -}}
app.kubernetes.io/name: postern-test
app.kubernetes.io/component: test
app.kubernetes.io/part-of: postern
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "postern.testHook" -}}
helm.sh/hook: test
helm.sh/hook-delete-policy: before-hook-creation
helm.sh/hook-weight: {{ . | quote }}
{{- end }}

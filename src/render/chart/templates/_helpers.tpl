{{/* Labels of every object. */}}
{{- define "chart.labels" -}}
{{ include "chart.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | trunc 63 | quote }}
app.kubernetes.io/part-of: {{ .Values.partOf | quote }}
app.kubernetes.io/component: {{ .Values.component | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
{{- end }}

{{/* What selects this workload's pods; never changes. */}}
{{- define "chart.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* Labels of a Job of ours beside the workload: not the workload's own, so that nothing selects it. */}}
{{- define "chart.jobLabels" -}}
app.kubernetes.io/name: {{ printf "%s-%s" .root.Chart.Name .name | quote }}
app.kubernetes.io/instance: {{ printf "%s-%s" .root.Release.Name .name | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: {{ .root.Values.partOf | quote }}
{{- end }}

{{- define "chart.image" -}}
{{- $image := .Values.image -}}
{{- printf "%s:%s" $image.repository $image.tag -}}
{{- if $image.digest }}@{{ $image.digest }}{{ end -}}
{{- end }}

{{- define "chart.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .Values.security.user }}
runAsGroup: {{ .Values.security.group }}
fsGroup: {{ .Values.security.group }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "chart.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: {{ .Values.security.user }}
runAsGroup: {{ .Values.security.group }}
capabilities:
  drop:
    - ALL
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* The Secret that a variable comes from: the chart's own where it makes one, else the named one. */}}
{{- define "chart.secretEnv" -}}
{{- range $name, $from := .Values.secretEnv }}
- name: {{ $name | quote }}
  valueFrom:
    secretKeyRef:
      {{- if $.Values.secret.create }}
      name: {{ $.Release.Name }}-secret
      key: {{ $name | quote }}
      {{- else }}
      name: {{ $from.name | quote }}
      key: {{ $from.key | quote }}
      {{- end }}
      optional: {{ $from.optional | default false }}
{{- end }}
{{- end }}

{{- define "chart.mounts" -}}
{{- range $index, $folder := .Values.writable }}
- name: writable-{{ $index }}
  mountPath: {{ $folder.path | quote }}
{{- end }}
{{- if .Values.persistence.enabled }}
- name: data
  mountPath: {{ .Values.persistence.mountPath | quote }}
{{- end }}
{{- end }}

{{/* The pod of a Deployment, a StatefulSet, a Job or a CronJob. */}}
{{- define "chart.pod" -}}
metadata:
  labels:
    {{- include "chart.selector" . | nindent 4 }}
    app.kubernetes.io/part-of: {{ .Values.partOf | quote }}
    app.kubernetes.io/component: {{ .Values.component | quote }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ include (print $.Template.BasePath "/configmap.yaml") . | sha256sum }}
    {{- if .Values.secret.create }}
    checksum/secret: {{ include (print $.Template.BasePath "/secret.yaml") . | sha256sum }}
    {{- end }}
    {{- if and .Values.monitoring.path .Values.port (not .Values.monitoring.operator) }}
    # What a Prometheus without its operator finds pods by.
    prometheus.io/scrape: "true"
    prometheus.io/path: {{ .Values.monitoring.path | quote }}
    prometheus.io/port: {{ .Values.port | quote }}
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ .Release.Name }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . | quote }}
    {{- end }}
  {{- end }}
  {{- if has .Values.kind (list "Job" "CronJob") }}
  restartPolicy: Never
  {{- end }}
  securityContext:
    {{- include "chart.podSecurity" . | nindent 4 }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if has .Values.kind (list "Deployment" "StatefulSet") }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "chart.selector" . | nindent 10 }}
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels:
                {{- include "chart.selector" . | nindent 16 }}
  {{- end }}
  {{- if and .Values.migration.command .Values.persistence.enabled }}
  initContainers:
    # What it changes lies on the claim, which has one owner: this pod.
    - name: migration
      image: {{ include "chart.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      command:
        {{- toYaml .Values.migration.command | nindent 8 }}
      {{- if .Values.env }}
      envFrom:
        - configMapRef:
            name: {{ .Release.Name }}
      {{- end }}
      {{- if .Values.secretEnv }}
      env:
        {{- include "chart.secretEnv" . | trim | nindent 8 }}
      {{- end }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        {{- include "chart.containerSecurity" . | nindent 8 }}
      volumeMounts:
        {{- include "chart.mounts" . | trim | nindent 8 }}
  {{- end }}
  containers:
    - name: {{ .Chart.Name }}
      image: {{ include "chart.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      {{- with .Values.command }}
      command:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.args }}
      args:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if .Values.port }}
      ports:
        - name: {{ .Values.portName }}
          containerPort: {{ .Values.port }}
          protocol: TCP
      {{- end }}
      {{- if .Values.env }}
      envFrom:
        - configMapRef:
            name: {{ .Release.Name }}
      {{- end }}
      {{- if .Values.secretEnv }}
      env:
        {{- include "chart.secretEnv" . | trim | nindent 8 }}
      {{- end }}
      {{- with .Values.probes.startup }}
      startupProbe:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.probes.readiness }}
      readinessProbe:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.probes.liveness }}
      livenessProbe:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        {{- include "chart.containerSecurity" . | nindent 8 }}
      {{- if or .Values.writable .Values.persistence.enabled }}
      volumeMounts:
        {{- include "chart.mounts" . | trim | nindent 8 }}
      {{- end }}
  {{- $claimed := and .Values.persistence.enabled (or (ne .Values.kind "StatefulSet") .Values.persistence.existingClaim) }}
  {{- if or .Values.writable $claimed }}
  volumes:
    {{- range $index, $folder := .Values.writable }}
    - name: writable-{{ $index }}
      emptyDir:
        sizeLimit: {{ $folder.size | quote }}
    {{- end }}
    {{- if $claimed }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ .Values.persistence.existingClaim | default .Release.Name | quote }}
    {{- end }}
  {{- end }}
{{- end }}

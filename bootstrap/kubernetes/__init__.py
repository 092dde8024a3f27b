"""The cluster seen from the control side: its nodes and Argo CD's applications, asked of the Kubernetes API. Reads only."""

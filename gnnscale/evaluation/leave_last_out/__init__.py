"""The leave-last-out protocol: a sequence network on a file of interactions, judged by the last item of each user."""
